"""Bytes of images in many formats, written by Pillow or by hand, and the pixels that Pillow reads."""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps


def pillow_pixels(content: bytes) -> np.ndarray:
    """uint8 [height, width, 3] by Pillow: upright, the first frame, alpha over white."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.asarray(image.convert("RGB"))


def photo(width: int = 53, height: int = 37, mode: str = "RGB") -> Image.Image:
    """Smooth, with some texture, and like no turned or mirrored form of itself."""
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(width * height).integers(0, 40, (height, width))
    layers = [255 * x / width, 255 * y / height, 200 * x * y / (width * height), 127 + 127 * np.cos(x / 5 + y / 9)]
    pixels = np.stack([np.clip(layer + noise - 20, 0, 255) for layer in layers], -1).astype("uint8")
    full = Image.fromarray(pixels) if mode in ("RGBA", "LA", "PA") else Image.fromarray(pixels[..., :3])
    return full if mode == full.mode else full.convert(mode)


def encode(image: Image.Image, kind: str, **options) -> bytes:
    """The bytes of `image` as `kind`, a name of Pillow's."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(
    samples: np.ndarray, depth: int, color: int, before: bytes = b"", after: bytes = b"", adam7: bool = False
) -> bytes:
    """A PNG of any kind, samples [height, width, channels]: Pillow writes neither 16 bit RGB nor interlaced ones."""
    height, width = samples.shape[:2]
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    lines = []
    for y, x, dy, dx in passes if adam7 else ((0, 0, 1, 1),):
        for row in samples[y::dy, x::dx].reshape(-1, samples[0, x::dx].size) if samples[0, x::dx].size else ():
            lines.append(b"\0" + _packed(row, depth))
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, adam7)
    data = chunk(b"IDAT", zlib.compress(b"".join(lines)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + data + after + chunk(b"IEND", b"")


def _packed(row: np.ndarray, depth: int) -> bytes:
    if depth >= 8:
        return row.astype(f">u{depth // 8}").tobytes()
    return np.packbits(np.unpackbits(row.astype("uint8")[:, None], axis=1)[:, 8 - depth :]).tobytes()


def exif(orientation: int, order: str = "<", kind: int = 3, count: int = 1) -> bytes:
    """A TIFF block whose first directory holds a maker's name and the orientation (kind 3: SHORT, 4: LONG)."""
    head = struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 8)
    value = struct.pack(order + ("HH" if kind == 3 else "I"), *((orientation, 0) if kind == 3 else (orientation,)))
    maker = struct.pack(order + "HHI4s", 0x010F, 2, 4, b"abc\0")
    return (
        head + struct.pack(order + "H", 2) + maker + struct.pack(order + "HHI", 0x0112, kind, count) + value + b"\0" * 4
    )


def segment(marker: int, content: bytes) -> bytes:
    """One marker segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """A JPEG with segments put in front of all others."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def with_exif(jpeg: bytes, tiff: bytes) -> bytes:
    """A JPEG with an EXIF segment in front."""
    return with_segments(jpeg, segment(0xE1, b"Exif\0\0" + tiff))


def on_white(image: Image.Image) -> np.ndarray:
    rgba = image.convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB"))
