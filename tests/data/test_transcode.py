"""Headers of files that are large, hostile or carry more than pixels: no memory, no minutes, no refusals of sound images."""

import io
import struct
import sys
import zlib

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from kerascnn.config import Data
from kerascnn.data import decode, readers, transcode
from kerascnn.data.formats import FORMATS

PIXELS = np.random.default_rng(0).integers(0, 255, (9, 12, 3), "uint8")
BIG = zlib.compress(bytes(2_000_000))


def encoded(kind: str, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, kind, **options)
    return file.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"iCCP", b"p\0\0" + BIG),
        chunk(b"zTXt", b"workflow\0\0" + BIG),
        chunk(b"iTXt", b"prompt\0\1\0\0\0" + BIG),
        chunk(b"tEXt", b"prompt\0" + b"x" * 2_000_000),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + BIG),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"tiff:Orientation" + bytes(2_000_000))),
    ],
    ids=["profile", "ztxt", "itxt", "text", "exif", "xmp"],
)
def test_a_png_with_a_large_text_or_profile_is_an_image(extra, tmp_path):
    """Pillow refuses these; TensorFlow, and so every export, decodes them."""
    png = encoded("PNG")
    file = tmp_path / "a.png"
    file.write_bytes(png[:33] + extra + png[33:])
    assert transcode.probe(file) == ("png", 9, 12, True, None)
    assert decode.problem(file) is None
    np.testing.assert_array_equal(decode.decode(decode.read(str(file))), PIXELS)


def test_an_orientation_in_a_short_text_still_counts(tmp_path):
    png, text = encoded("PNG"), b"XML:com.adobe.xmp\0\0\0\0\0<tiff:Orientation>3</tiff:Orientation>"
    file = tmp_path / "a.png"
    file.write_bytes(png[:33] + chunk(b"zTXt", b"prompt\0\0" + BIG) + chunk(b"iTXt", text) + png[33:])
    np.testing.assert_array_equal(decode.decode(decode.read(str(file))), PIXELS[::-1, ::-1])


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (struct.pack(">IIBBBBB", 0, 9, 8, 2, 0, 0, 0), "0 x 9 pixels"),
        (struct.pack(">IIBBBBB", 9, 9, 4, 2, 0, 0, 0), "of 4 bits, color type 2"),
        (struct.pack(">IIBBBBB", 9, 9, 8, 5, 0, 0, 0), "color type 5"),
        (struct.pack(">IIBBBBB", 65535, 65535, 8, 2, 0, 0, 0), "65535 x 65535 pixels: more than"),
    ],
)
def test_a_png_header_that_libpng_would_refuse_is_told(header, words, tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + encoded("PNG")[33:])
    assert words in transcode.probe(file).problem


def test_a_png_whose_size_is_damaged_is_told(tmp_path):
    png = bytearray(encoded("PNG"))
    png[19] ^= 1
    (tmp_path / "a.png").write_bytes(png)
    assert "checksum" in transcode.probe(tmp_path / "a.png").problem


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "TGA"])
def test_a_file_too_large_for_a_photo_is_refused_unread(kind, tmp_path):
    file = tmp_path / "a"
    file.write_bytes(encoded(kind))
    assert transcode.probe(file).problem is None
    with file.open("r+b") as sparse:
        sparse.truncate(2 << 30)
    assert "a file of 2,147,483,648 bytes: more than" in transcode.probe(file).problem


def test_content_too_large_for_a_photo_is_refused(monkeypatch):
    monkeypatch.setattr(readers, "MAX_BYTES", 100)
    with pytest.raises(ValueError, match="more than 100 are refused"):
        transcode.transcode(encoded("BMP"))


@pytest.mark.parametrize("offset", [-2, -1, 0, 1])
def test_an_end_mark_is_found_wherever_parts_meet(offset, monkeypatch, tmp_path):
    """A camera's film follows the image: the mark lies before the last bytes."""
    monkeypatch.setattr(transcode, "_TAIL", 10)
    jpeg = encoded(
        "JPEG", exif=Image.Exif(), icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    )
    file = tmp_path / "a.jpg"
    file.write_bytes(jpeg + bytes(100))
    with file.open("rb") as opened:
        start = readers.opened("jpeg", opened, jpeg).fp.tell()
    monkeypatch.setattr(transcode, "_PART", len(jpeg) - start + offset)
    assert transcode.probe(file).problem is None
    file.write_bytes(jpeg[:-2] + bytes(100))
    assert "no end mark" in transcode.probe(file).problem


def test_a_heic_without_its_reader_names_the_extra(monkeypatch, tmp_path):
    file = tmp_path / "a.heic"
    pillow_heif.from_pillow(Image.fromarray(PIXELS)).save(file)
    assert transcode.probe(file).problem is None
    monkeypatch.setitem(sys.modules, "pillow_heif.as_plugin", None)
    assert "pip install 'kerascnn[heif]'" in transcode.probe(file).problem
    with pytest.raises(ValueError, match=r"kerascnn\[heif\]"):
        transcode.transcode(file.read_bytes())


@pytest.mark.parametrize(
    "content",
    [
        b"\0\0\0\x18ftypmp42" + bytes(90),
        b"\0\0\2\0\1\0\x10\x10" + bytes(90),
        bytes(512),
        b"P9\n1 1",
        b"\nP\1\1",
        b"Bud1\0\0\0\1",
    ],
    ids=["film", "cursor", "zeros", "text", "line", "finder"],
)
def test_what_only_resembles_an_image_is_none(content):
    assert transcode.sniff(content) is None


def test_the_help_names_every_format():
    text = Data.model_fields["dataset"].description
    assert [row.name for row in FORMATS.values() if row.name not in text] == []
