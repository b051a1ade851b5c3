"""The use of Pillow in the decode path: reads headers, and turns what TensorFlow cannot decode into PNG. No TensorFlow."""

import io
import os
import stat
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin

from kerascnn.data import readers
from kerascnn.data.formats import FORMATS, HEADER, NONE, sniff
from kerascnn.data.readers import MAX_PIXELS, TooLarge, Unreadable

__all__ = ["MAX_PIXELS", "PNG_TEXT_ORIENTATION", "Probe", "probe", "probe_content", "sniff", "transcode"]

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
        format: A key of `formats.FORMATS` by its first bytes, whatever its name, or None.
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
    """As `probe`, for the bytes of a file."""
    return _probe(io.BytesIO(content))


def _probe(file: BinaryIO) -> Probe:
    header = file.read(HEADER)
    kind = sniff(header)
    if kind is None:
        return Probe(None, 0, 0, False, NONE if header else "empty")
    # Without it TensorFlow and Pillow refuse the file; the end mark of a thumbnail comes before the image data.
    name, _, end = FORMATS[kind]
    native = bool(end)
    try:
        readers.check_bytes(kind, file.seek(0, os.SEEK_END), header)
        file.seek(0)
        if kind == "png":  # Pillow would unpack texts and color profiles, which are not needed, and refuse large ones
            height, width = _png_size(header)
            file.seek(_PNG_HEADER)
        else:
            image = readers.opened(kind, file, header)
            height, width = image.height, image.width
        problem = None
        if native and not _ends(file, end):
            problem = f"truncated: the {name} has no end mark"
        return Probe(kind, height, width, native, problem)
    except TooLarge as error:
        return Probe(kind, error.height, error.width, native, str(error))
    except Unreadable as error:
        return Probe(kind, 0, 0, native, str(error))
    except Exception as error:  # parsing a malicious file may raise anything
        return Probe(kind, 0, 0, native, f"broken {name} header: {_sentence(error)}")


def _png_size(header: bytes) -> tuple[int, int]:
    """Returns height and width from the first chunk of a PNG file, checked as in libpng."""
    if len(header) < _PNG_HEADER or header[8:16] != b"\0\0\0\rIHDR":
        raise ValueError("it does not begin with its size")
    if zlib.crc32(header[12:29]) != int.from_bytes(header[29:33], "big"):
        raise ValueError("its size is damaged (checksum)")
    width, height, depth, color = struct.unpack(">IIBB", header[16:26])
    if not width or not height or depth not in _PNG_DEPTHS.get(color, ()):
        raise ValueError(f"{width} x {height} pixels of {depth} bits, color type {color}")
    readers.check(height, width)
    return height, width


def _sentence(error: Exception) -> str:
    if isinstance(error, struct.error | IndexError | EOFError):
        return "it ends too early"
    return " ".join(str(error).split()) or type(error).__name__


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
    """Returns an image file as a plain RGB PNG: upright, its first frame or page, 8 bits, alpha over white.

    Raises:
        ValueError: As `decoded`.
    """
    png = io.BytesIO()
    upright_rgb(decoded(content)).save(png, "PNG", compress_level=1)
    return png.getvalue()


def decoded(content: bytes) -> Image.Image:
    """Returns the first frame or page of an image file as it is stored: not turned, in the file's own mode.

    Raises:
        ValueError: The content cannot be decoded, or has more than `MAX_PIXELS` pixels or `MAX_BYTES` bytes.
    """
    header = content[:HEADER]
    kind = sniff(header)
    if kind is None:
        raise ValueError(NONE)
    try:
        readers.check_bytes(kind, len(content), header)
        image = readers.opened(kind, io.BytesIO(_told(content) if kind == "png" else content), header)
        image.load()
    except (TooLarge, Unreadable):
        raise
    except Exception as error:  # parsing a malicious file may raise anything
        raise ValueError(f"broken {FORMATS[kind].name}: {_sentence(error)}") from error
    return image


def upright_rgb(image: Image.Image) -> Image.Image:
    """Returns an image of `decoded` as every command sees it: turned by its EXIF orientation, 8 bits, alpha over white, RGB.

    Raises:
        ValueError: Its pixels have an unknown range, or cannot be converted.
    """
    try:
        return _over_white(_eight_bit(_upright(image), image))
    except Unreadable:
        raise
    except Exception as error:  # a malicious palette or profile
        raise ValueError(f"broken {image.format or 'image'}: {_sentence(error)}") from error


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


def _eight_bit(upright: Image.Image, image: Image.Image) -> Image.Image:
    """Returns a grayscale image of more than 8 bits scaled from the range of its type, rounded; others as they are.

    The range is not that of the image: two images of one camera keep their relation. Pillow itself would cut off values
    above 255.

    Args:
        upright: The pixels.
        image: The image as it was opened, with its tags.
    """
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else None
    if upright.mode == "F" or (upright.mode == "I" and tags is not None):
        raise Unreadable("pixels of 32 bits or with a sign, whose range is unknown: convert it to 8 or 16 bits")
    if upright.mode != "I" and not upright.mode.startswith("I;16"):
        return upright
    samples = np.asarray(upright).astype(np.int64)
    largest = 65535 if tags is None else 2 ** tags.get(TiffImagePlugin.BITSPERSAMPLE, (16,))[0] - 1
    samples = (np.clip(samples, 0, largest) * 255 + largest // 2) // largest
    # Pillow inverts a TIFF whose zero is white, but not one of 16 bits.
    inverted = tags is not None and tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0
    return Image.fromarray((255 - samples if inverted else samples).astype(np.uint8))


def _over_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
