"""What Pillow does for the decode path: look at headers, and turn what TensorFlow can't decode into PNG. No TensorFlow."""

import io
import os
import stat
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

# From here on Pillow itself warns of a decompression bomb: 256 MB of RGB. 89 megapixels are more than a camera's.
MAX_PIXELS = 89_478_485


class _Jpeg(JpegImagePlugin.JpegImageFile):
    """Only the header: the resolution, which nobody asks for, costs a walk through EXIF and warns where that is damaged."""

    def _read_dpi_from_exif(self) -> None:
        pass


# The classes and not Image.open: only these formats, whatever else Pillow can read, and our limit instead of its warning.
_READERS: dict[str, type[ImageFile.ImageFile]] = {
    "jpeg": _Jpeg,
    "png": PngImagePlugin.PngImageFile,
    "gif": GifImagePlugin.GifImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
}
# Without it TensorFlow refuses the file as Pillow does; a thumbnail's own mark comes before the image data.
_END_MARK = {"jpeg": b"\xff\xd9", "png": b"IEND"}
_TAIL = 65536
# Orientation in a PNG's text, as ImageMagick and Adobe write it. TensorFlow's ops cannot inflate those, so Pillow turns them.
PNG_TEXT_ORIENTATION = (b"Raw profile type exif", b"tiff:Orientation")


class Probe(NamedTuple):
    """What a file's header says.

    Attributes:
        format: `jpeg`, `png`, `gif`, `bmp` or `webp` by its first bytes, whatever its name; None where it is none of these.
        height: Pixels as stored, before any EXIF orientation; 0 where unknown.
        width: As height.
        native: Whether TensorFlow's ops decode the file as it is.
        problem: Why the file cannot be used; None where nothing speaks against it. Damage within the image data only shows
            when it is decoded (`decode.problem`).
    """

    format: str | None
    height: int
    width: int
    native: bool
    problem: str | None


def sniff(header: bytes) -> str | None:
    """The image format that a file's first 12 bytes (or more) announce, or None."""
    if header.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if header.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if header.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if header.startswith(b"RIFF") and header[8:12] == b"WEBP":
        return "webp"
    return "bmp" if header.startswith(b"BM") else None


def probe(path: str | bytes | os.PathLike[str]) -> Probe:
    """Look at a file's header (some 50 microseconds; nothing is decoded, nothing raised)."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - the path may be bytes; a pipe would block open
            return Probe(None, 0, 0, False, "not a file")
        with Path(os.fsdecode(path)).open("rb") as file:
            return _probe(file)
    except OSError as error:
        return Probe(None, 0, 0, False, error.strerror or str(error))


def _probe(file: BinaryIO) -> Probe:
    header = file.read(64)
    kind = sniff(header)
    if kind is None:
        return Probe(None, 0, 0, False, "not an image in JPEG, PNG, GIF, BMP or WebP" if header else "empty")
    file.seek(0)
    native = kind in _END_MARK
    try:
        image = _open(kind, file, header)
        problem = None
        if native and not _ends(file, _END_MARK[kind]):
            problem = f"truncated: the {kind.upper()} has no end mark"
        return Probe(kind, image.height, image.width, native, problem)
    except _TooLarge as error:
        return Probe(kind, error.height, error.width, native, str(error))
    except Exception as error:  # a parser on a hostile file may raise anything
        return Probe(kind, 0, 0, native, f"broken {kind.upper()} header: {_sentence(error)}")


class _TooLarge(ValueError):
    def __init__(self, height: int, width: int) -> None:
        super().__init__(f"{width} x {height} pixels: more than {MAX_PIXELS} are refused")
        self.height, self.width = height, width


def _sentence(error: Exception) -> str:
    if isinstance(error, struct.error | IndexError | EOFError):
        return "it ends too early"
    return " ".join(str(error).split()) or type(error).__name__


def _open(kind: str, file: BinaryIO, header: bytes) -> ImageFile.ImageFile:
    """The image, its header read, nothing decoded; the file stands behind the header."""
    if kind == "webp":  # Pillow's constructor already allocates the canvas
        _check(*_webp_size(header))
    image = _READERS[kind](file)
    _check(image.height, image.width)
    return image


def _check(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise _TooLarge(height, width)


def _webp_size(header: bytes) -> tuple[int, int]:
    """Height and width in the first 30 bytes of a WebP file (RFC 9649, sections 2.5-2.7)."""
    if header[12:16] == b"VP8X":
        return 1 + int.from_bytes(header[27:30], "little"), 1 + int.from_bytes(header[24:27], "little")
    if header[12:16] == b"VP8L":
        bits = int.from_bytes(header[21:25], "little")
        return 1 + (bits >> 14 & 0x3FFF), 1 + (bits & 0x3FFF)
    return int.from_bytes(header[28:30], "little") & 0x3FFF, int.from_bytes(header[26:28], "little") & 0x3FFF


def _ends(file: BinaryIO, mark: bytes) -> bool:
    """Whether `mark` stands behind the header: mostly in the last bytes, before them where a camera appended a film."""
    start = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(max(start, end - _TAIL))
    if mark in file.read():
        return True
    file.seek(start)
    return mark in file.read()


def transcode(content: bytes) -> bytes:
    """An image file as a plain RGB PNG: upright, its first frame, alpha over white.

    Raises:
        ValueError: The content cannot be decoded, or has more than `MAX_PIXELS` pixels.
    """
    kind = sniff(content)
    if kind is None:
        raise ValueError("not an image in JPEG, PNG, GIF, BMP or WebP")
    try:
        image = _open(kind, io.BytesIO(content), content)
        image.load()
    except _TooLarge:
        raise
    except Exception as error:  # a parser on a hostile file may raise anything
        raise ValueError(f"broken {kind.upper()}: {_sentence(error)}") from error
    png = io.BytesIO()
    _over_white(_upright(image)).save(png, "PNG", compress_level=1)
    return png.getvalue()


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a broken EXIF block says nothing about the pixels
        return image


def _over_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
