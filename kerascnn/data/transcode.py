"""The use of Pillow in the decode path: reads headers, and turns what TensorFlow cannot decode into PNG. No TensorFlow."""

import io
import os
import stat
import struct
import zlib
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

# Pillow itself warns of a decompression bomb from here on: 256 MB of RGB, more pixels than cameras have.
MAX_PIXELS = 89_478_485


# A larger file is not a photo: this many bytes are held for each image that is decoded at the same time.
MAX_BYTES = 256 << 20
# The blocks of a GIF are walked in Python; the first frame of an animation is in its first megabytes.
GIF_BYTES = 64 << 20


class _Jpeg(JpegImagePlugin.JpegImageFile):
    """Reads only the header: the resolution, which is not needed, costs a walk through EXIF and warns if that is damaged."""

    def _read_dpi_from_exif(self) -> None:
        pass


# The classes instead of Image.open: only these formats, and our limit in place of Pillow's warning.
_READERS: dict[str, type[ImageFile.ImageFile]] = {
    "jpeg": _Jpeg,
    "png": PngImagePlugin.PngImageFile,  # for transcoding; `_png_size` reads the header alone
    "gif": GifImagePlugin.GifImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
}
# Without it TensorFlow and Pillow refuse the file; the end mark of a thumbnail comes before the image data.
_END_MARK = {"jpeg": b"\xff\xd9", "png": b"IEND"}
_TAIL, _PART = 1 << 16, 1 << 20
_TEXT = 1 << 20  # bytes of an unpacked text of a PNG: Pillow's own limit
_PNG_HEADER = 33  # signature and IHDR, which is always first
# Valid bits per sample for each color type of PNG (PNG 3, section 11.2.1).
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# Orientation in a text chunk, as written by ImageMagick and Adobe. TensorFlow's ops cannot inflate it, so Pillow turns them.
PNG_TEXT_ORIENTATION = (b"Raw profile type exif", b"tiff:Orientation")


class Probe(NamedTuple):
    """The facts in a file's header.

    Attributes:
        format: `jpeg`, `png`, `gif`, `bmp` or `webp` by its first bytes, whatever its name, or None.
        height: Height in pixels as stored, before any EXIF orientation; 0 if unknown.
        width: Likewise.
        native: Whether TensorFlow's ops decode the file as it is.
        problem: Why the file cannot be used, or None. Damage in the image data shows only when it is decoded
            (`decode.problem`).
    """

    format: str | None
    height: int
    width: int
    native: bool
    problem: str | None


def sniff(header: bytes) -> str | None:
    """Returns the image format of a file by its first 12 bytes (or more), or None."""
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
    """Reads a file's header (about 50 microseconds; nothing is decoded or raised)."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - the path may be bytes; a pipe would block open
            return Probe(None, 0, 0, False, "not a file")
        with Path(os.fsdecode(path)).open("rb") as file:
            return _probe(file)
    except OSError as error:
        return Probe(None, 0, 0, False, error.strerror or str(error))


def probe_content(content: bytes) -> Probe:
    """Returns as `probe` for the content of a file."""
    return _probe(io.BytesIO(content))


def _probe(file: BinaryIO) -> Probe:
    header = file.read(64)
    kind = sniff(header)
    if kind is None:
        return Probe(None, 0, 0, False, "not an image in JPEG, PNG, GIF, BMP or WebP" if header else "empty")
    native = kind in _END_MARK
    try:
        _check_bytes(kind, file.seek(0, os.SEEK_END))
        file.seek(0)
        if kind == "png":  # Pillow would unpack texts and color profiles, which are not needed, and refuse large ones
            height, width = _png_size(header)
            file.seek(_PNG_HEADER)
        else:
            image = _open(kind, file, header)
            height, width = image.height, image.width
        problem = None
        if native and not _ends(file, _END_MARK[kind]):
            problem = f"truncated: the {kind.upper()} has no end mark"
        return Probe(kind, height, width, native, problem)
    except _TooLarge as error:
        return Probe(kind, error.height, error.width, native, str(error))
    except Exception as error:  # parsing a malicious file may raise anything
        return Probe(kind, 0, 0, native, f"broken {kind.upper()} header: {_sentence(error)}")


class _TooLarge(ValueError):
    def __init__(self, height: int, width: int, message: str = "") -> None:
        super().__init__(message or f"{width} x {height} pixels: more than {MAX_PIXELS} are refused")
        self.height, self.width = height, width


def _check_bytes(kind: str, size: int) -> None:
    limit = GIF_BYTES if kind == "gif" else MAX_BYTES
    if size > limit:
        raise _TooLarge(0, 0, f"a file of {size:,} bytes: more than {limit:,} are refused")


def _png_size(header: bytes) -> tuple[int, int]:
    """Returns height and width from the first chunk of a PNG file, checked as in libpng."""
    if len(header) < _PNG_HEADER or header[8:16] != b"\0\0\0\rIHDR":
        raise ValueError("it does not begin with its size")
    if zlib.crc32(header[12:29]) != int.from_bytes(header[29:33], "big"):
        raise ValueError("its size is damaged (checksum)")
    width, height, depth, color = struct.unpack(">IIBB", header[16:26])
    if not width or not height or depth not in _PNG_DEPTHS.get(color, ()):
        raise ValueError(f"{width} x {height} pixels of {depth} bits, color type {color}")
    _check(height, width)
    return height, width


def _sentence(error: Exception) -> str:
    if isinstance(error, struct.error | IndexError | EOFError):
        return "it ends too early"
    return " ".join(str(error).split()) or type(error).__name__


def _open(kind: str, file: BinaryIO, header: bytes) -> ImageFile.ImageFile:
    """Returns the image with its header read and nothing decoded; the file position is after the header."""
    if kind == "webp":  # Pillow's constructor allocates the canvas
        _check(*_webp_size(header))
    image = _READERS[kind](file)
    _check(image.height, image.width)
    return image


def _check(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise _TooLarge(height, width)


def _webp_size(header: bytes) -> tuple[int, int]:
    """Returns height and width from the first 30 bytes of a WebP file (RFC 9649, sections 2.5-2.7)."""
    if header[12:16] == b"VP8X":
        return 1 + int.from_bytes(header[27:30], "little"), 1 + int.from_bytes(header[24:27], "little")
    if header[12:16] == b"VP8L":
        bits = int.from_bytes(header[21:25], "little")
        return 1 + (bits >> 14 & 0x3FFF), 1 + (bits & 0x3FFF)
    return int.from_bytes(header[28:30], "little") & 0x3FFF, int.from_bytes(header[26:28], "little") & 0x3FFF


def _ends(file: BinaryIO, mark: bytes) -> bool:
    """Returns whether `mark` follows the header, mostly in the last bytes, or before a film that a camera appended."""
    start = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(max(start, end - _TAIL))
    if mark in file.read():
        return True
    file.seek(start)
    kept = b""
    while part := file.read(_PART):
        if mark in kept + part:
            return True
        kept = part[1 - len(mark) :]
    return False


def transcode(content: bytes) -> bytes:
    """Returns an image file as a plain RGB PNG: upright, its first frame, alpha over white.

    Raises:
        ValueError: The content cannot be decoded, or has more than `MAX_PIXELS` pixels or `MAX_BYTES` bytes.
    """
    kind = sniff(content)
    if kind is None:
        raise ValueError("not an image in JPEG, PNG, GIF, BMP or WebP")
    try:
        _check_bytes(kind, len(content))
        image = _open(kind, io.BytesIO(_told(content) if kind == "png" else content), content)
        image.load()
    except _TooLarge:
        raise
    except Exception as error:  # parsing a malicious file may raise anything
        raise ValueError(f"broken {kind.upper()}: {_sentence(error)}") from error
    png = io.BytesIO()
    _over_white(_upright(image)).save(png, "PNG", compress_level=1)
    return png.getvalue()


def _told(content: bytes) -> bytes:
    """Returns a PNG without its color profile and without texts that are long or do not contain its orientation.

    Pillow refuses an image whose profile or text exceeds 1 MB when unpacked; TensorFlow never reads either.
    """
    kept, place = [content[:_PNG_HEADER]], _PNG_HEADER
    while place + 8 <= len(content):
        length, name = int.from_bytes(content[place : place + 4], "big"), content[place + 4 : place + 8]
        chunk = content[place : place + 12 + length]
        text = name in (b"tEXt", b"zTXt", b"iTXt")
        if name != b"iCCP" and not (text and (not _says_orientation(chunk) or _unpacks_to(name, chunk) > _TEXT)):
            kept.append(chunk)
        place += 12 + length
    return b"".join(kept)


def _says_orientation(chunk: bytes) -> bool:
    return chunk[8:].startswith((b"Raw profile type exif\0", b"Raw profile type APP1\0", b"XML:com.adobe.xmp\0"))


def _unpacks_to(name: bytes, chunk: bytes) -> int:
    """Returns the unpacked bytes of a text, or one more than the limit."""
    _, _, rest = chunk[8:-4].partition(b"\0")
    packed = rest[1:] if name == b"zTXt" else rest[2:] if name == b"iTXt" and rest[:1] == b"\1" else None
    if packed is None:
        return len(rest)
    if name == b"iTXt":
        packed = packed.split(b"\0", 2)[-1]  # language, translated keyword
    try:
        return len(zlib.decompressobj().decompress(packed, _TEXT + 1))
    except zlib.error:
        return 0  # Pillow reports the problem


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a damaged EXIF block says nothing about the pixels
        return image


def _over_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
