"""Images that are decoded together: the pixels and the reasons of each alone."""

from pathlib import Path

import numpy as np

from kerascnn.artefacts import decoding
from kerascnn.data import decode
from tests.data import odd_files


def test_several_are_decoded_as_one_by_one(tmp_path: Path) -> None:
    corpus = [one.path for one in odd_files.make(tmp_path / "odd") if one.path.is_file()]
    together = decoding.TOGETHER
    found = [
        pixels
        for at in range(0, len(corpus), together)
        for pixels in decoding.pixels(corpus[at : at + together], 40, "crop")
    ]
    kinds = {"jpeg": 0, "png": 0, None: 0}
    for path, pixels in zip(corpus, found, strict=True):
        content = path.read_bytes()
        alone = decoding.of_content(content, 40, "crop")
        if isinstance(alone, str):
            assert pixels == alone, path
        else:
            np.testing.assert_array_equal(pixels, alone, err_msg=str(path))
            kinds[decode.plain_format(content)] += 1
    assert min(kinds.values()) >= 5, f"the corpus has all kinds: {kinds}"


def test_other_items_stand_between_them(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(odd_files.encode(odd_files.photo(), "JPEG"))
    gone = decoding.Stored("gone", (tmp_path / "gone").read_bytes)
    items = [np.zeros((9, 9), np.uint8), path, gone, decoding.Stored("a", path.read_bytes), tmp_path, str(path)]
    found = decoding.pixels(items, 20, "squash")
    assert [one if isinstance(one, str) else one.shape for one in found] == [
        *((20, 20, 3), (20, 20, 3), "No such file or directory", (20, 20, 3), "not a file", (20, 20, 3)),
    ]
    np.testing.assert_array_equal(found[1], found[3])
    np.testing.assert_array_equal(found[1], found[5])
