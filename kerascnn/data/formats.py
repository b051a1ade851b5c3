"""The image formats that are read: their names, their suffixes, and their first bytes. No TensorFlow, no Pillow."""

from __future__ import annotations

import re
from typing import NamedTuple


class Format(NamedTuple):
    """A format of image files.

    Attributes:
        name: Name in messages.
        suffixes: Suffixes of files, in lower case.
        end: Mark that follows the pixels, for the formats that TensorFlow's ops decode as they are; b"" for the others, which
            Pillow turns into PNG.
    """

    name: str
    suffixes: tuple[str, ...]
    end: bytes = b""


# A new format is one row, its first bytes in `sniff`, and its reader in `transcode`.
FORMATS = {
    "jpeg": Format("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), b"\xff\xd9"),
    "png": Format("PNG", (".png",), b"IEND"),
    "gif": Format("GIF", (".gif",)),
    "bmp": Format("BMP", (".bmp",)),
    "webp": Format("WebP", (".webp",)),
    "tiff": Format("TIFF", (".tif", ".tiff")),
    "avif": Format("AVIF", (".avif", ".avifs")),
    "heic": Format("HEIC", (".heic", ".heif", ".hif")),
    "jpeg2000": Format("JPEG 2000", (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx")),
    "ppm": Format("PPM", (".ppm", ".pgm", ".pbm", ".pnm")),
    "tga": Format("TGA", (".tga", ".icb", ".vda", ".vst")),
    "ico": Format("ICO", (".ico",)),
    "pcx": Format("PCX", (".pcx",)),
    "sgi": Format("SGI", (".sgi", ".rgb", ".rgba", ".bw")),
}
SUFFIXES = frozenset(suffix for row in FORMATS.values() for suffix in row.suffixes)
NAMES = ", ".join(row.name for row in FORMATS.values())
NONE = f"not an image in {NAMES}"

# A file of an MPEG-4 family says in its first box which of them it is.
_AVIF = frozenset((b"avif", b"avis"))
_HEIC = frozenset((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"))
_MAGIC = {
    b"\xff\xd8\xff": "jpeg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"BM": "bmp",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"II+\0": "tiff",
    b"MM\0+": "tiff",
    b"\0\0\0\x0cjP  \r\n\x87\n": "jpeg2000",
    b"\xff\x4f\xff\x51": "jpeg2000",
    b"\0\0\1\0": "ico",
    b"\1\xda": "sgi",
}
HEADER = 64  # bytes that `sniff` may look at


def sniff(header: bytes) -> str | None:
    """Returns the format of a file, a key of `FORMATS`, by its first `HEADER` bytes, or None."""
    for magic, kind in _MAGIC.items():
        if header.startswith(magic):
            return kind
    if header[4:8] == b"ftyp":
        return _mpeg(header)
    if header.startswith(b"RIFF") and header[8:12] == b"WEBP":
        return "webp"
    if re.match(rb"P[1-6][ \t\n\r#]", header):
        return "ppm"
    # Version, run lengths, bits of a pixel.
    if (
        header[:1] == b"\n"
        and header[1:2] in (b"\0", b"\2", b"\3", b"\5")
        and header[2:4] in (b"\1\1", b"\1\2", b"\1\4", b"\1\x08")
    ):
        return "pcx"
    return "tga" if _is_tga(header) else None


def _mpeg(header: bytes) -> str | None:
    end = min(len(header), int.from_bytes(header[:4], "big"))
    brands = {header[8:12], *(header[i : i + 4] for i in range(16, end - 3, 4))}
    return "avif" if brands & _AVIF else "heic" if brands & _HEIC or header[8:12] in (b"mif1", b"msf1") else None


def _is_tga(header: bytes) -> bool:
    """Returns whether all fields of the header make sense: the format has no first bytes of its own."""
    if len(header) < 18 or not any(header[12:14]) or not any(header[14:16]) or header[17] & 0xC0:
        return False
    colors, kind, depth = header[1], header[2], header[16]
    if kind in (1, 9):
        return colors == 1 and depth == 8 and header[7] in (15, 16, 24, 32) and any(header[5:7])
    plain = colors == 0 and not any(header[3:8])
    return plain and ((kind in (2, 10) and depth in (16, 24, 32)) or (kind in (3, 11) and depth in (8, 16)))
