"""The table of boxes, and which positions of the network's input lie in them. The pointing game itself: test_evaluate.py."""

from pathlib import Path

import numpy as np
import pytest

from kerascnn.data import decode
from kerascnn.errors import UserError
from kerascnn.evaluation import boxes
from kerascnn.evaluation.boxes import Box


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "path,left,top,width,height,label\nx/1.png,10,20,30,40,cat\n"),
        ("a.csv", "\ufefffilename,xmin,ymin,xmax,ymax,class\nx/1.png,10,20,40,60,cat\n"),
        ("a.tsv", "Image\tLeft\tTop\tRight\tBottom\tLabel\nx/1.png\t10\t20\t40.0\t60\t cat \n"),
    ],
)
def test_a_box_has_corners_or_a_size(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert boxes.read(tmp_path / name) == {"x/1.png": [Box(10, 20, 40, 60, "cat")]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected the columns image, left"),
        ("image,left,top\na,1,2\n", "expected the columns image, left"),
        ("image,left,top,width,height\na,1,2,x,4\n", "line 2: expected numbers"),
        ("image,left,top,width,height\na,1,2,3,4\nb,1,2\n", "line 3: expected numbers"),
        ("image,left,top,right,bottom\na,9,2,3,4\n", "the box is empty"),
    ],
)
def test_what_is_wrong_is_one_message(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        boxes.read(tmp_path / "a.csv")


def test_images_are_found_by_their_ids_or_the_end_of_their_paths(tmp_path: Path) -> None:
    ids, one = ["test/cat/1.png", "test/dog/1.png", "test/dog/2.png"], [Box(0, 0, 1, 1, "")]
    found = boxes._of_images(ids, {"test/cat/1.png": one, "2.png": one, "./dog/2.png": one, "other.png": one}, tmp_path)
    assert {place: len(some) for place, some in found.items()} == {0: 1, 2: 2}
    with pytest.raises(UserError, match=r"1\.png is the end of 2 paths"):
        boxes._of_images(ids, {"1.png": one}, tmp_path)
    with pytest.raises(UserError, match="none of its 1 images is in this split"):
        boxes._of_images(ids, {"x.png": one}, tmp_path)


@pytest.mark.parametrize("mode", ["crop", "pad", "squash"])
def test_a_mask_is_the_box_as_the_network_sees_it(mode: decode.Mode) -> None:
    """A white box in a black photo, brought to the input by the one decode path."""
    photo = np.zeros((120, 200, 3), "uint8")
    photo[30:90, 60:150] = 255
    left, top, wide, tall = decode.seen(120, 200, 64, mode)
    mask = boxes._mask([Box(60, 30, 150, 90, "")], (left * 200, top * 120, wide * 200, tall * 120), 64)
    seen = decode.resize(photo, 64, mode).numpy()[..., 0] > 127
    assert (mask != seen).mean() < 0.02
    assert mask.any()
    assert not mask.all()
