"""Near-copies among hashes: all pairs, each once, whatever the blocks; and how alike copies must be."""

import numpy as np
import pytest
from PIL import ImageOps

from kerascnn.data import near
from kerascnn.data.looks import look
from kerascnn.data.near import LEAST, least_alike, near_pairs
from tests.data.photos import jpeg, photo


@pytest.fixture(scope="module")
def seen():
    """Forty photos; 40 is a worse copy of 3, 41 a smaller one of 5, 42 a mirrored one of 7, 43 and 44 are flat."""
    images = [photo(seed) for seed in range(40)]
    copies = [jpeg(images[3], 30), jpeg(images[5].resize((48, 36))), jpeg(ImageOps.mirror(images[7]), 70)]
    flat = [np.full((30, 30, 3), level, np.uint8) for level in (10, 200)]
    found = [look(one) for one in [*map(jpeg, images), *copies, *flat]]
    hashes = np.array([one.hashes for one in found], np.uint64)
    return hashes[:, 0], hashes[:, 1], np.stack([one.thumbnail for one in found])


@pytest.mark.parametrize(("rows", "columns"), [(128, 8192), (7, 5)])
def test_pairs_are_found_once(seen, rows: int, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "ROWS", rows)
    monkeypatch.setattr(near, "COLUMNS", columns)
    advanced: list[int] = []
    found = near_pairs(*seen, advanced.append)
    pairs = zip(found.first.tolist(), found.second.tolist(), found.mirrored.tolist(), strict=True)
    assert sorted(pairs) == [(3, 40, False), (5, 41, False), (7, 42, True)]
    assert (found.alike > 0.97).all()
    assert sum(advanced) == 45


def test_photos_need_less_likeness_than_pictures_of_one_pattern(seen) -> None:
    hashes, _, thumbnails = seen
    assert least_alike(hashes[:40], thumbnails[:40]) == LEAST
    rng = np.random.default_rng(0)
    pattern = photo(99).convert("L").resize((32, 32))
    alike = np.clip(np.asarray(pattern) + rng.normal(0, 8, (40, 32, 32)), 0, 255).astype(np.uint8)
    assert least_alike(hashes[:40], alike) > 0.98


def test_nothing_among_none() -> None:
    empty = np.zeros(0, np.uint64)
    thumbnails = np.zeros((0, 32, 32), np.uint8)
    assert not len(near_pairs(empty, empty, thumbnails).first)
    assert least_alike(empty, thumbnails) == LEAST
