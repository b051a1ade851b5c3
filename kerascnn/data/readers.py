"""Pillow's readers of image files: each returns an image with its header read and nothing decoded. No TensorFlow."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import BinaryIO

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    IcoImagePlugin,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PcxImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    SgiImagePlugin,
    TgaImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

# Pillow itself warns of a decompression bomb from here on: 256 MB of RGB, more pixels than cameras have.
MAX_PIXELS = 89_478_485
# A larger file is not a photo: this many bytes are held for each image that is decoded at the same time.
MAX_BYTES = 256 << 20
# The blocks of a GIF and the numbers of a plain PPM are walked in Python; the first frame of an animation is in its first
# megabytes.
SLOW_BYTES = 64 << 20
_PNG = b"\x89PNG\r\n\x1a\n"
_NEW_SUBFILE_TYPE, _DNG_VERSION = 254, 50706  # tags of TIFF


class TooLarge(ValueError):
    """An image with too many pixels or bytes; height and width are 0 if they are unknown."""

    def __init__(self, height: int, width: int, message: str = "") -> None:
        super().__init__(message or f"{width} x {height} pixels: more than {MAX_PIXELS} are refused")
        self.height, self.width = height, width


class Unreadable(ValueError):
    """An image that is not damaged and cannot be used; the message says why."""


class _Jpeg(JpegImagePlugin.JpegImageFile):
    """Reads only the header: the resolution, which is not needed, costs a walk through EXIF and warns if that is damaged."""

    def _read_dpi_from_exif(self) -> None:
        pass


def check(height: int, width: int) -> None:
    """Checks the number of pixels.

    Raises:
        TooLarge: There are more than `MAX_PIXELS`.
    """
    if height * width > MAX_PIXELS:
        raise TooLarge(height, width)


def check_bytes(kind: str, size: int, header: bytes) -> None:
    """Checks the size of a file.

    Raises:
        TooLarge: It is larger than `MAX_BYTES`, or than `SLOW_BYTES` in a format that is walked in Python.
    """
    slow = kind == "gif" or (kind == "ppm" and header[1:2] in b"123")
    limit = SLOW_BYTES if slow else MAX_BYTES
    if size > limit:
        raise TooLarge(0, 0, f"a file of {size:,} bytes: more than {limit:,} are refused")


def opened(kind: str, file: BinaryIO, header: bytes) -> ImageFile.ImageFile:
    """Returns the image with its header read and nothing decoded; the file position is after the header.

    Raises:
        TooLarge: It has too many pixels.
        Unreadable: A raw photo, or a format whose reader is not installed.
    """
    if kind == "webp":  # Pillow's constructor allocates the canvas
        check(*_webp_size(header))
    if kind == "ico":
        _check_icons(file)
    image = _READERS[kind](file)
    check(image.height, image.width)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _check_raw(image, header)
    return image


def _webp_size(header: bytes) -> tuple[int, int]:
    """Returns height and width from the first 30 bytes of a WebP file (RFC 9649, sections 2.5-2.7)."""
    if header[12:16] == b"VP8X":
        return 1 + int.from_bytes(header[27:30], "little"), 1 + int.from_bytes(header[24:27], "little")
    if header[12:16] == b"VP8L":
        bits = int.from_bytes(header[21:25], "little")
        return 1 + (bits >> 14 & 0x3FFF), 1 + (bits & 0x3FFF)
    return int.from_bytes(header[28:30], "little") & 0x3FFF, int.from_bytes(header[26:28], "little") & 0x3FFF


def _check_icons(file: BinaryIO) -> None:
    """Checks the sizes of the images inside of an icon, PNG or BMP, which may differ from those in its table."""
    file.seek(4)
    (count,) = struct.unpack("<H", file.read(2))
    for place in range(count):
        file.seek(6 + 16 * place + 12)
        (offset,) = struct.unpack("<I", file.read(4))
        file.seek(offset)
        inner = file.read(24)
        if inner.startswith(_PNG):
            width, height = struct.unpack(">II", inner[16:24])
        else:
            width, height = struct.unpack("<ii", inner[4:12])
        check(abs(height), abs(width))
    file.seek(0)


def _check_raw(image: TiffImagePlugin.TiffImageFile, header: bytes) -> None:
    """Refuses the raw files of cameras, whose first page is a small preview."""
    tags = image.tag_v2
    if header[8:10] == b"CR" or _DNG_VERSION in tags or int(tags.get(_NEW_SUBFILE_TYPE) or 0) & 1:
        raise Unreadable("a raw photo of a camera, of which only a preview could be read: convert it to TIFF or JPEG")


def _avif(file: BinaryIO) -> ImageFile.ImageFile:
    try:
        from PIL import AvifImagePlugin
    except ImportError:  # before Pillow 11.3
        supported = False
    else:
        supported = AvifImagePlugin.SUPPORTED
    if not supported:
        raise Unreadable("an AVIF image, which this Pillow does not read: pip install -U pillow")
    return AvifImagePlugin.AvifImageFile(file)


def _heic(file: BinaryIO) -> ImageFile.ImageFile:
    try:
        from pillow_heif.as_plugin import HeifImageFile
    except ImportError:
        raise Unreadable("a HEIC image, which needs pillow-heif: pip install 'kerascnn[heif]'") from None
    return HeifImageFile(file)


# The classes instead of Image.open: only these formats, and our limit in place of Pillow's warning.
_READERS: dict[str, Callable[[BinaryIO], ImageFile.ImageFile]] = {
    "jpeg": _Jpeg,
    "png": PngImagePlugin.PngImageFile,  # for transcoding; `probe` reads the header alone
    "gif": GifImagePlugin.GifImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "tiff": TiffImagePlugin.TiffImageFile,
    "avif": _avif,
    "heic": _heic,
    "jpeg2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
    "ppm": PpmImagePlugin.PpmImageFile,
    "tga": TgaImagePlugin.TgaImageFile,
    "ico": IcoImagePlugin.IcoImageFile,
    "pcx": PcxImagePlugin.PcxImageFile,
    "sgi": SgiImagePlugin.SgiImageFile,
}
