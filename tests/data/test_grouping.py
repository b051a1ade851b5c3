"""Groups of images from their names: what `cut` keeps together and `statistics` resamples together."""

import numpy as np
import pytest

from kerascnn.data.grouping import groups_of, keys_of
from kerascnn.errors import UserError


def test_groups_are_what_the_pattern_matches() -> None:
    ids = np.array(["a/p1_1.png", "a/p1_2.png", "b/p2_1.png", "b/other.png"])
    keys, alone = keys_of(ids.tolist(), r"p\d+_")
    assert keys == ["p1_", "p1_", "p2_", "b/other.png"]
    assert alone == 1
    groups = groups_of(ids, r"p\d+_")
    assert groups is not None
    assert groups[0] == groups[1]
    assert len(set(groups.tolist())) == 3


def test_no_groups_where_every_image_stands_alone() -> None:
    assert groups_of(["a", "b"], None) is None
    assert groups_of(["a/1", "b/2"], r"\d") is None
    assert groups_of(["1", "2"], "no such") is None
    with pytest.raises(UserError, match="not a regular expression"):
        groups_of(["1"], "(")
