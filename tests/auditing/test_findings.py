"""What is odd about single images, and groups that names suggest."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from kerascnn.auditing.findings import KINDS, findings
from kerascnn.auditing.name_groups import suggested
from kerascnn.data.looks import FACTS, Looks, look
from tests.data.photos import jpeg, photo


def stored(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 8
    return stored(photo(1), "JPEG", exif=exif)


ODD = {
    "plain.jpg": (jpeg(photo(0)), []),
    "cut.jpg": (jpeg(photo(0))[:900], ["truncated"]),
    "text.jpg": (b"no image", ["undecodable"]),
    "one color.png": (stored(Image.new("RGB", (90, 90), "navy"), "PNG"), ["blank"]),
    "night.png": (stored(photo(2).point(lambda value: value * 12 // 66), "PNG"), ["dark"]),
    "soft.jpg": (jpeg(photo(3, (120, 120)).filter(ImageFilter.GaussianBlur(5))), ["blurred"]),
    "small.png": (stored(photo(4, (20, 20)), "PNG"), ["tiny"]),
    "named.png": (jpeg(photo(5)), ["extension"]),
    "print.jpg": (stored(photo(6).convert("CMYK"), "JPEG"), ["mode"]),
    "turned.jpg": (turned(), ["orientation"]),
    "film.gif": (stored(photo(7), "GIF", save_all=True, append_images=[photo(8)]), ["mode", "animated"]),
}


def seen(contents: list[bytes]) -> Looks:
    found = [look(content, hashed=False) for content in contents]
    return Looks(
        {i: one.problem for i, one in enumerate(found) if one.problem},
        np.array([np.frombuffer(one.digest, np.uint8) for one in found]),
        np.zeros(len(found), np.uint64),
        np.zeros(len(found), np.uint64),
        np.zeros((0, 32, 32), np.uint8),
        np.array([one.facts for one in found], FACTS),
    )


def test_each_kind_is_found_and_nothing_else() -> None:
    ids = list(ODD)
    found = findings(seen([content for content, _ in ODD.values()]), ids, range(len(ids)), 96)
    assert [(ids[one.place], one.kind) for one in found] == sorted(
        ((name, kind) for name, (_, kinds) in ODD.items() for kind in kinds),
        key=lambda row: (list(KINDS).index(row[1]), ids.index(row[0])),
    )
    assert all(one.detail for one in found)


def test_only_the_images_that_are_asked_for() -> None:
    ids = list(ODD)
    assert not findings(seen([content for content, _ in ODD.values()]), ids, [0], 96)
    assert not findings(seen([ODD["plain.jpg"][0]]), ids[:1], [], 96)


def test_an_enormous_image() -> None:
    facts = np.array([("jpeg", "RGB", 8000, 6000, 1, False, 200, 50, 0.5)], FACTS)
    empty = np.zeros(1, np.uint64)
    looks = Looks({}, np.zeros((1, 32), np.uint8), empty, empty, np.zeros((0, 32, 32), np.uint8), facts)
    assert [one.kind for one in findings(looks, ["a.jpg"], [0], 224)] == ["enormous"]


def groups(ids: list[str]):
    places = {name: "train" if i % 5 else "test" for i, name in enumerate(ids)}
    labels = {name: name.split("/")[name.startswith(("train/", "val/", "test/"))] for name in ids}
    return suggested(ids, places, labels)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([f"patient_{p:02}_{side}.jpg" for p in range(12) for side in "ab"], 12),
        ([f"scan-{p}-{view}.png" for p in range(100, 112) for view in ("left", "right")], 12),
        ([f"{p:04}{side}.jpg" for p in range(12) for side in "ab"], 12),
        ([f"clip{p}/frame{f}.jpg" for p in range(9) for f in range(4)], 9),
        ([f"IMG_{p:04}.jpg" for p in range(40)], None),
        ([f"{p * 7919 % 9973}_{p * 104729 % 99991:x}.jpg" for p in range(40)], None),
    ],
)
def test_groups_that_names_suggest(names: list[str], expected: int | None) -> None:
    found = groups([f"sick/{name}" for name in names[::2]] + [f"well/{name}" for name in names[1::2]])
    if expected is None:
        assert found == []
    else:
        assert found[0].groups == expected
        assert found[0].straddling > 0


def test_classes_and_splits_are_no_groups() -> None:
    ids = [f"{split}/{label}/{i}.jpg" for split in ("train", "val", "test") for label in "abc" for i in range(8)]
    assert groups(ids) == []
    assert groups([f"train/n{label}/n{label}_{i}.jpg" for label in range(10) for i in range(20)]) == []
