"""Copies: what counts as one, groups over chains, and what is remembered beside the runs."""

from pathlib import Path

import numpy as np
import pytest

from kerascnn.config import Data
from kerascnn.data import copies, cut_of
from kerascnn.data.copies import Copies
from kerascnn.data.listing import Listing
from kerascnn.data.room import Room
from kerascnn.data.sources import Pixels
from tests.data.photos import photo


def found(ids: str, picture: list[int], near: list[tuple[int, int]]) -> Copies:
    first, second = (np.array([pair[side] for pair in near], np.int32) for side in (0, 1))
    mirrored, alike = np.zeros(len(near), bool), np.full(len(near), 0.97, np.float32)
    return Copies(tuple(ids), np.array(picture, np.int32), first, second, mirrored, alike, near=True)


# a and b are equal, c is a near-copy of them, d one of c; e and f are equal.
CHAIN = found("abcdef", [0, 0, 1, 2, 3, 3], [(0, 1), (1, 2)])


@pytest.mark.parametrize(
    ("mine", "others", "expected"),
    [
        ("a", "b", "a"),
        ("a", "a", ""),
        ("a", "c", "a"),
        ("a", "d", ""),
        ("abc", "d", "c"),
        ("ef", "ef", "ef"),
        ("x", "a", ""),
    ],
)
def test_who_has_a_copy_among_others(mine: str, others: str, expected: str) -> None:
    assert CHAIN.having(set(mine), set(others)) == set(expected)


def test_groups_go_over_chains() -> None:
    groups = CHAIN.groups()
    assert {name for name, group in groups.items() if group == groups["a"]} == set("abcd")
    assert groups["e"] == groups["f"] == "e"


def test_only_the_images_that_are_used() -> None:
    kept = CHAIN.kept("adef")
    assert kept.ids == ("a", "d", "e", "f")
    assert set(kept.groups()) == {"e", "f"}, "c, which linked a and d, is gone"
    assert [pair[:3] for pair in kept.pairs()] == [("e", "f", "exact")]
    assert not CHAIN.kept("").groups()


def test_pairs_tell_splits_apart() -> None:
    same = [pair[:2] for pair in CHAIN.pairs()]
    assert same == [("a", "b"), ("e", "f"), ("a", "c"), ("c", "d")]
    ranked = [pair[:2] for pair in CHAIN.pairs({"a": "train", "b": "test", "c": "val", "d": "val"})]
    assert ("b", "c") in ranked


def source() -> Pixels:
    """Thirty photos of two classes; every third image shows the picture of the one before."""
    images = np.stack([np.asarray(photo(i - (i % 3 == 2), (24, 24))) for i in range(30)])
    return Pixels(images, [f"{i:02}" for i in range(30)], np.arange(30) // 15, ("x", "y"), 24, "squash")


def test_what_was_found_is_remembered(tmp_path: Path) -> None:
    images, room = source(), Room(contents=tmp_path)
    fingerprint = "2-" + "ab" * 32
    exact = copies.find(images, fingerprint, room, near=False)
    assert not exact.near
    assert copies.known(tmp_path, fingerprint) is not None
    whole = copies.find(images, fingerprint, room)
    assert whole.near, "an exact search does not stand in for one of near-copies"
    again = copies.known(tmp_path, fingerprint)
    assert again is not None
    assert again.ids == whole.ids == exact.ids
    assert (again.picture == whole.picture).all()
    assert again.least == whole.least
    assert copies.known(tmp_path, "2-" + "ab" * 31 + "cd") is None, "the first digits agree, the rest does not"
    next((tmp_path / ".contents").glob("copies-*.npz")).write_bytes(b"damaged")
    assert copies.known(tmp_path, fingerprint) is None


def test_dedupe_keeps_copies_in_one_split() -> None:
    listing = Listing(source(), np.full(30, ""), "2-" + "0" * 64, "photos")
    apart = cut_of(listing, Data(image_size=24))
    together = cut_of(listing, Data(image_size=24, dedupe="group"))

    def torn(splits) -> int:
        where = {name: part.name for part in splits.parts() for name in part.ids()}
        return sum(where[f"{i - 1:02}"] != where[f"{i:02}"] for i in range(2, 30, 3))

    assert torn(apart) > 0
    assert torn(together) == 0
    assert any("--dedupe" in note for note in together.notes)
    grouped = copies.grouped(listing, Data(group_by=r"^\d"), Room())
    assert grouped.groups is not None
    assert grouped.groups[10] == grouped.groups[20] != grouped.groups[0], "20 repeats 19: two groups are one"


def test_no_copies_no_groups() -> None:
    images = np.stack([np.asarray(photo(i, (24, 24))) for i in range(6)])
    one = Pixels(images, list("abcdef"), np.arange(6) % 2, ("x", "y"), 24, "squash")
    listing = Listing(one, np.full(6, ""), "2-" + "1" * 64, "photos")
    assert copies.grouped(listing, Data(), Room()).groups is None
