"""A corpus of odd image files, each with the pixels it must give or the reason why it cannot be used.

    python -m tests.data.odd_files FOLDER

The pixels come from Pillow (`ImageOps.exif_transpose`) and numpy alone, never from the package.
"""

import io
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pillow_heif
from PIL import Image, PngImagePlugin

from tests.data.image_bytes import (
    chunk,
    encode,
    exif,
    on_white,
    photo,
    pillow_pixels,
    png,
    segment,
    with_exif,
    with_segments,
)


class OddFile(NamedTuple):
    """One file of the corpus.

    Attributes:
        path: Where it lies.
        pixels: uint8 [height, width, 3] that decoding must give; None where the file cannot be used.
        reason: A word of the reason that must be given; None where the file can be used.
        tolerance: By how many levels the pixels may differ.
    """

    path: Path
    pixels: np.ndarray | None
    reason: str | None
    tolerance: int


class _Row(NamedTuple):
    name: str
    content: bytes
    pixels: np.ndarray | None = None
    reason: str | None = None
    tolerance: int = 0


def make(folder: Path) -> list[OddFile]:
    """Write the corpus into `folder` and say what to expect of each file."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for row in (
        *_jpegs(),
        *_pngs(),
        *_others(),
        *_deep(),
        *_oriented(),
        *_orientation_traps(),
        *_shapes(),
        *_names(),
        *_broken(),
    ):
        path = folder / row.name
        try:
            path.write_bytes(row.content)
        except OSError:  # a file system that refuses the name
            continue
        pixels = pillow_pixels(row.content) if row.pixels is None and row.reason is None else row.pixels
        made.append(OddFile(path, pixels, row.reason, row.tolerance))
    return made + list(_not_files(folder))


def _jpegs() -> Iterator[_Row]:
    yield _Row("plain.jpg", encode(photo(), "JPEG"))
    yield _Row("progressive.jpg", encode(photo(), "JPEG", progressive=True, quality=60))
    for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
        name = f"subsampled_{subsampling.replace(':', '')}.jpg"
        yield _Row(name, encode(photo(), "JPEG", subsampling=subsampling))
    yield _Row("rgb_inside.jpg", encode(photo(), "JPEG", keep_rgb=True))
    yield _Row("grey.jpg", encode(photo(mode="L"), "JPEG"))
    cmyk = encode(photo(mode="CMYK"), "JPEG", quality=95)
    adobe = cmyk.index(b"Adobe")
    yield _Row("cmyk.jpg", cmyk, tolerance=1)
    yield _Row("ycck.jpg", cmyk[: adobe + 11] + b"\2" + cmyk[adobe + 12 :], tolerance=1)
    yield _Row("cmyk_unmarked.jpg", cmyk[: adobe - 4] + cmyk[adobe + 12 :], tolerance=1)
    yield _Row("film_behind.jpg", encode(photo(), "JPEG") + bytes(100_000))


def _pngs() -> Iterator[_Row]:
    rng = np.random.default_rng(0)

    def samples(depth: int, channels: int) -> np.ndarray:
        return rng.integers(0, 2**depth, (19, 23, channels))

    for depth in (1, 2, 4, 8):
        palette = chunk(b"PLTE", rng.integers(0, 256, 3 * 2**depth, dtype="uint8").tobytes())
        fading = chunk(b"tRNS", rng.integers(0, 256, 2**depth - 1, dtype="uint8").tobytes())
        yield _Row(f"grey_{depth}bit.png", png(samples(depth, 1), depth, 0))
        yield _Row(f"palette_{depth}bit.png", png(samples(depth, 1), depth, 3, palette))
        yield _Row(f"palette_{depth}bit_transparent.png", png(samples(depth, 1), depth, 3, palette + fading))
    yield _Row("grey_alpha.png", png(samples(8, 2), 8, 4))
    yield _Row("alpha.png", png(samples(8, 4), 8, 6))
    yield _Row("interlaced.png", png(samples(8, 3), 8, 2, adam7=True))
    yield _Row("interlaced_alpha.png", png(samples(8, 4), 8, 6, adam7=True))
    coarse = samples(8, 1) // 64 * 64
    yield _Row("grey_color_key.png", png(coarse, 8, 0, chunk(b"tRNS", struct.pack(">H", 64))))
    yield _Row("color_key.png", png(coarse.repeat(3, -1), 8, 2, chunk(b"tRNS", struct.pack(">HHH", 64, 64, 64))))
    # Pillow cuts 16 bit RGB and alpha down to the upper byte, so that these are worked out here.
    for name, channels, color in (("grey", 1, 0), ("rgb", 3, 2), ("grey_alpha", 2, 4), ("alpha", 4, 6)):
        deep = samples(16, channels)
        yield _Row(f"{name}_16bit.png", png(deep, 16, color), pixels=_by_257_over_white(deep))
    frames = [photo(), photo().rotate(180)]
    yield _Row(
        "animated.png", encode(frames[0], "PNG", save_all=True, append_images=frames[1:]), pixels=np.asarray(photo())
    )


def _by_257_over_white(deep: np.ndarray) -> np.ndarray:
    eight = np.rint(deep / 257)
    color = eight[..., :3] if eight.shape[-1] > 2 else eight[..., :1].repeat(3, -1)
    alpha = eight[..., -1:] / 255 if eight.shape[-1] in (2, 4) else 1.0
    return np.rint(color * alpha + 255 * (1 - np.asarray(alpha))).astype("uint8")


def _others() -> Iterator[_Row]:
    frames = [photo(mode="RGBA"), photo(mode="RGBA").rotate(180)]
    yield _Row("animated.gif", encode(frames[0], "GIF", save_all=True, append_images=frames[1:], disposal=2))
    yield _Row("grey.gif", encode(photo(mode="L"), "GIF"))
    yield _Row("transparent.gif", encode(photo(mode="P"), "GIF", transparency=photo(mode="P").getpixel((0, 0))))
    yield _Row("animated.webp", encode(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True))
    yield _Row("lossy.webp", encode(photo(), "WEBP"))
    yield _Row("turned.webp", encode(photo(), "WEBP", exif=b"Exif\0\0" + exif(6)))
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        yield _Row(f"{mode.lower()}.bmp", encode(photo(mode=mode), "BMP"))
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"):
        yield _Row(f"{mode.lower()}.tif", encode(photo(mode=mode), "TIFF"))
    pages = encode(photo(), "TIFF", save_all=True, append_images=[photo(20, 20)], compression="tiff_lzw")
    yield _Row("pages.tiff", pages, pixels=np.asarray(photo()))
    yield _Row("big_endian_jpeg_inside.tif", encode(photo(), "TIFF", compression="jpeg"))
    yield _Row("plain.jp2", encode(photo(mode="RGBA"), "JPEG2000"))
    yield _Row("codestream.j2k", encode(photo(), "JPEG2000", no_jp2=True))
    for mode in ("1", "L", "RGB"):
        yield _Row(f"{mode.lower()}.pnm", encode(photo(mode=mode), "PPM"))
    yield _Row(
        "written.ppm", b"P3 # plain\n2 1\n255\n255 0 9  0 255 9\n", pixels=np.uint8([[[255, 0, 9], [0, 255, 9]]])
    )
    for mode in ("L", "LA", "P", "RGB", "RGBA"):
        yield _Row(f"{mode.lower()}.tga", encode(photo(mode=mode), "TGA", compression="tga_rle"))
    yield _Row("icons.ico", encode(photo(48, 48, "RGBA"), "ICO", sizes=[(16, 16), (48, 48)]))
    yield _Row("plain.pcx", encode(photo(), "PCX"))
    yield _Row("plain.sgi", encode(photo(mode="RGBA"), "SGI"))
    yield _Row("rgb.avif", encode(photo(), "AVIF", quality=90))
    yield _Row("rgba.avif", encode(photo(mode="RGBA"), "AVIF", quality=90))
    for mode in ("L", "RGB", "RGBA"):
        yield _Row(f"{mode.lower()}.heic", heic := _heic(photo(64, 48, mode)), pixels=_heic_pixels(heic))


def _heic(image: Image.Image, **options) -> bytes:
    out = io.BytesIO()
    pillow_heif.from_pillow(image).save(out, quality=90, **options)
    return out.getvalue()


def _heic_pixels(content: bytes) -> np.ndarray:
    """The pixels of pillow-heif's own reader, over white."""
    return on_white(pillow_heif.open_heif(content, convert_hdr_to_8bit=True).to_pillow())


def _deep() -> Iterator[_Row]:
    """Grayscale of 16 bits, whose range is that of the type and not of the image: darker than half on purpose."""
    deep = np.random.default_rng(3).integers(0, 30_000, (19, 23)).astype(np.uint16)
    gray = np.rint(deep / 257).astype("uint8")[..., None].repeat(3, -1)
    image = Image.fromarray(deep)
    tiff = encode(image, "TIFF")
    yield _Row("deep.tif", tiff, gray)
    yield _Row("deep_packed.tif", encode(image, "TIFF", compression="tiff_adobe_deflate"), gray)
    white = tiff.index(struct.pack("<HHI", 262, 3, 1)) + 8  # photometric interpretation: 1 is black at zero, 0 white
    yield _Row("deep_inverted.tif", tiff[:white] + b"\0" + tiff[white + 1 :], 255 - gray)
    yield _Row("deep.pgm", b"P5 23 19 65535\n" + deep.astype(">u2").tobytes(), gray)
    yield _Row("deep.jp2", encode(image, "JPEG2000"), gray)
    yield _Row("real_numbers.tif", encode(Image.fromarray(deep.astype("float32")), "TIFF"), reason="32 bits")
    yield _Row(
        "raw_photo.tif", encode(image, "TIFF", tiffinfo={254: 1}), reason="raw photo"
    )  # a page that is a preview


def _oriented() -> Iterator[_Row]:
    plain = encode(photo(), "JPEG")
    for orientation in range(1, 9):
        yield _Row(f"exif_{orientation}.tif", encode(photo(), "TIFF", exif=_said(orientation)))
        yield _Row(f"exif_{orientation}.avif", encode(photo(), "AVIF", quality=90, exif=_said(orientation)))
        for order, name in (("<", "little"), (">", "big")):
            yield _Row(f"exif_{orientation}_{name}.jpg", with_exif(plain, exif(orientation, order)))
            block = chunk(b"eXIf", exif(orientation, order))
            place = {"before": block} if order == "<" else {"after": block}
            yield _Row(f"exif_{orientation}_{name}.png", png(np.asarray(photo()), 8, 2, **place))


def _said(orientation: int) -> Image.Exif:
    said = Image.Exif()
    said[0x0112] = orientation
    return said


def _orientation_traps() -> Iterator[_Row]:
    plain = encode(photo(), "JPEG")
    xmp = segment(0xE1, b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><rdf:Description tiff:Orientation="8"/></x:xmpmeta>')
    yield _Row("exif_long.jpg", with_exif(plain, exif(6, ">", kind=4)))
    yield _Row("exif_nonsense.jpg", with_exif(plain, exif(9)))
    yield _Row("exif_zero.jpg", with_exif(plain, exif(0)))
    upright = np.asarray(Image.open(io.BytesIO(plain)))
    # Pillow takes the first and warns.
    yield _Row("exif_two_values.jpg", with_exif(plain, exif(6, count=2)), pixels=np.rot90(upright, -1))
    yield _Row("exif_empty.jpg", with_exif(plain, b""), pixels=upright)
    yield _Row("exif_cut.jpg", with_exif(plain, exif(6)[:20]), pixels=upright)
    yield _Row("exif_far_offset.jpg", with_exif(plain, b"II*\0\xff\xff\xff\x7f" + exif(6)[8:]), pixels=upright)
    yield _Row("exif_negative_offset.jpg", with_exif(plain, b"II*\0\xff\xff\xff\xff" + exif(6)[8:]), pixels=upright)
    turned = segment(0xE1, b"Exif\0\0" + exif(6))
    profile = segment(0xE2, b"ICC_PROFILE\0\1\2" + bytes(65000))
    yield _Row("exif_behind_profile.jpg", with_segments(plain, profile, profile, turned))
    yield _Row("exif_in_comment.jpg", with_segments(plain, segment(0xFE, b"Exif\0\0" + exif(6))))
    yield _Row("exif_in_profile.jpg", with_segments(plain, segment(0xE2, turned)))
    yield _Row("exif_of_image_behind.jpg", plain + with_segments(plain, turned))
    yield _Row("exif_padded_marker.jpg", with_segments(plain, b"\xff\xff" + turned))
    yield _Row("xmp.jpg", with_segments(plain, xmp))
    yield _Row("xmp_behind_exif.jpg", with_segments(plain, turned, xmp))
    text = PngImagePlugin.PngInfo()
    hexed = (b"Exif\0\0" + exif(6)).hex()
    text.add_text("Raw profile type exif", f"\nexif\n{len(hexed) // 2:8}\n{hexed}\n", zip=True)
    yield _Row("exif_as_text.png", encode(photo(), "PNG", pnginfo=text))
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", "<tiff:Orientation>3</tiff:Orientation>")
    yield _Row("xmp.png", encode(photo(), "PNG", pnginfo=text))


def _shapes() -> Iterator[_Row]:
    for kind, ending in (
        ("JPEG", "jpg"),
        ("PNG", "png"),
        ("GIF", "gif"),
        ("BMP", "bmp"),
        ("WEBP", "webp"),
        ("TIFF", "tif"),
    ):
        yield _Row(f"one_pixel.{ending}", encode(photo(1, 1), kind))
    yield _Row("wide.jpg", encode(photo(500, 10), "JPEG"))
    yield _Row("tall.png", encode(photo(10, 500), "PNG"))


def _names() -> Iterator[_Row]:
    jpeg = encode(photo(), "JPEG")
    for name in (
        "with space.jpg",
        'it\'s "quoted".jpg',
        "new\nline.jpg",
        "ÄÖ 图像 😀.jpg",
        "100%,$(x) *?[a].jpg",
        "-dash.JPG",
    ):
        yield _Row(name, jpeg)
    yield _Row(os.fsdecode(b"not_utf8_\xff.jpg"), jpeg)
    yield _Row("really_png.jpg", encode(photo(mode="RGBA"), "PNG"))
    yield _Row("really_jpeg.png", jpeg)
    yield _Row("really_webp.jpg", encode(photo(), "WEBP"))
    yield _Row("really_tiff.jpg", encode(photo(), "TIFF"))
    yield _Row("really_avif.heic", encode(photo(), "AVIF"))
    yield _Row("really_gif.bmp", encode(photo(mode="L"), "GIF"))


def _broken() -> Iterator[_Row]:
    yield _Row("empty.jpg", b"", reason="empty")
    yield _Row("text.jpg", b"<html>404 not found</html>", reason="not an image")
    yield _Row("tar.jpg", bytes(1024), reason="not an image")
    jpeg, flat = encode(photo(), "JPEG"), encode(photo(), "PNG")
    yield _Row("magic_only.jpg", jpeg[:3], reason="JPEG")
    yield _Row("magic_only.png", flat[:8], reason="PNG")
    yield _Row("thumbnail_only.jpg", with_segments(jpeg, segment(0xE1, jpeg))[:-200], reason="truncated")
    for name, whole in (("jpg", jpeg), ("png", flat)):
        yield _Row(f"cut.{name}", whole[: len(whole) * 4 // 5], reason="truncated")
        yield _Row(f"no_end.{name}", whole[: -2 if name == "jpg" else -12], reason="truncated")
    for kind in ("GIF", "BMP", "WEBP", "TIFF", "AVIF", "PPM", "TGA", "ICO", "PCX", "SGI"):
        whole = encode(photo(40, 40), kind)
        yield _Row(f"half.{kind.lower()}", whole[: len(whole) // 2], reason="broken")
    for name, whole in (("jp2", encode(photo(), "JPEG2000")), ("heic", _heic(photo(64, 48)))):
        yield _Row(f"half.{name}", whole[: len(whole) // 2], reason="broken")
    broken = bytearray(flat)
    broken[len(flat) // 2] ^= 0xFF
    yield _Row("bad_sum.png", bytes(broken), reason="PNG")
    yield from _bombs()


def _bombs() -> Iterator[_Row]:
    """Headers that promise 60000 x 60000 pixels, or as many as the format can."""
    jpeg, webp = encode(photo(), "JPEG"), bytearray(encode(photo(mode="RGBA"), "WEBP", lossless=True))
    frame = jpeg.index(b"\xff\xc0")
    large = struct.pack(">II", 60000, 60000)
    header = chunk(b"IHDR", large + bytes((8, 2, 0, 0, 0)))
    flat = encode(photo(), "PNG")
    bmp = encode(photo(), "BMP")
    webp[21:25] = struct.pack("<I", 0x3FFF | 0x3FFF << 14)
    extended = encode(photo(), "WEBP", exif=b"Exif\0\0" + exif(1))
    rows = {
        "jpg": jpeg[: frame + 5] + struct.pack(">HH", 60000, 60000) + jpeg[frame + 9 :],
        "png": flat[:8] + header + flat[33:],
        "gif": b"GIF89a" + struct.pack("<HH", 60000, 60000) + encode(photo(), "GIF")[10:],
        "bmp": bmp[:18] + struct.pack("<ii", 60000, 60000) + bmp[26:],
        "webp": bytes(webp),
        "ppm": b"P6 60000 60000 255\n" + bytes(100),
        "tga": struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, 60000, 60000, 24, 0) + bytes(100),
        "tif": encode(photo(), "TIFF").replace(
            struct.pack("<HHII", 256, 4, 1, 53), struct.pack("<HHII", 256, 4, 1, 10**7)
        ),
        "ico": _icon_bomb(flat[:8] + header + flat[33:]),
    }
    for ending, content in rows.items():
        yield _Row(f"bomb.{ending}", content, reason="pixels")
    side = (59999).to_bytes(3, "little")
    yield _Row("bomb_extended.webp", extended[:24] + side + side + extended[30:], reason="pixels")


def _icon_bomb(inner: bytes) -> bytes:
    """An icon of 16 pixels by its table, and of 60000 in its PNG."""
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(inner), 22) + inner


def _not_files(folder: Path) -> Iterator[OddFile]:
    (folder / "directory.jpg").mkdir(exist_ok=True)
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "dangling.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(folder / "pipe.jpg")
    yield OddFile(folder / "directory.jpg", None, "not a file", 0)
    yield OddFile(folder / "loop.jpg", None, "symbolic links", 0)
    yield OddFile(folder / "dangling.jpg", None, "No such file", 0)
    yield OddFile(folder / "pipe.jpg", None, "not a file", 0)


if __name__ == "__main__":
    for odd in make(Path(sys.argv[1])):
        print(ascii(odd.path.name), odd.reason or odd.pixels.shape)
