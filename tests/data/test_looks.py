"""The look of an image: what its pixels, its hashes and its file say."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter, ImageOps

from kerascnn.data.looks import SIDE, look, looks
from kerascnn.data.sources import Pixels
from tests.data.photos import jpeg, photo


def facts(stored) -> dict[str, object]:
    names = ("format", "mode", "height", "width", "orientation", "animated", "bright", "spread", "sharp")
    return dict(zip(names, look(stored).facts, strict=True))


def stored(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_equal_pixels_have_one_digest_in_any_lossless_format() -> None:
    image = photo(0)
    digests = {look(stored(image, kind)).digest for kind in ("PNG", "BMP", "WEBP")[:2]}
    assert digests == {look(np.asarray(image)).digest}
    assert look(jpeg(image)).digest not in digests
    assert look(np.asarray(image.rotate(90, expand=True))).digest not in digests


def test_a_turned_file_looks_like_the_upright_one() -> None:
    image, exif = photo(1), Image.Exif()
    exif[0x0112] = 6
    turned = stored(image.rotate(90, expand=True), "PNG", exif=exif)
    assert look(turned).digest == look(stored(image, "PNG")).digest
    assert facts(turned)["orientation"] == 6


def test_hashes_survive_what_copies_go_through() -> None:
    image = photo(2)
    whole, small = look(jpeg(image)), look(jpeg(image.resize((60, 45)), 40))
    flipped, other = look(jpeg(ImageOps.mirror(image), 60)), look(jpeg(photo(3)))
    assert (whole.hashes[0] ^ small.hashes[0]).bit_count() <= 6
    assert (whole.hashes[1] ^ flipped.hashes[0]).bit_count() <= 6
    assert (whole.hashes[0] ^ other.hashes[0]).bit_count() > 12
    assert whole.thumbnail is not None
    assert whole.thumbnail.shape == (SIDE, SIDE)


def test_facts_of_files() -> None:
    gif = stored(photo(4), "GIF", save_all=True, append_images=[photo(5)])
    assert facts(gif)["animated"]
    assert facts(gif)["format"] == "gif"
    assert facts(stored(photo(4).convert("RGBA"), "PNG"))["mode"] == "RGBA"
    assert facts(jpeg(photo(4)))["width"] == 96
    sharp, soft = photo(6), photo(6).filter(ImageFilter.GaussianBlur(4))
    assert facts(jpeg(soft))["sharp"] < 0.3 * facts(jpeg(sharp))["sharp"]
    dark = facts(np.full((20, 20, 3), 7, np.uint8))
    assert dark["bright"] == 7
    assert dark["spread"] == 0


@pytest.mark.parametrize("broken", [b"", b"not an image", jpeg(photo(7))[:900]], ids=["empty", "text", "half"])
def test_what_cannot_be_decoded_has_a_reason(broken: bytes) -> None:
    assert look(broken).problem


def test_all_images_of_a_source() -> None:
    images = np.stack([np.asarray(photo(seed, (24, 24))) for seed in (0, 1, 0)])
    source = Pixels(images, list("abc"), np.array([0, 1, 0]), ("x", "y"), 24, "squash")
    advanced: list[int] = []
    seen = looks(source, advanced.append)
    assert sum(advanced) == len(seen) == 3
    assert (seen.digests[0] == seen.digests[2]).all()
    assert seen.hashes[0] == seen.hashes[2] != seen.hashes[1]
    exact = looks(source, hashed=False)
    assert (exact.digests == seen.digests).all()
    assert not len(exact.thumbnails)
