"""Groups of images from their names: what `cut` keeps together and `statistics` resamples together."""

from pathlib import Path

import numpy as np
import pytest

from kerascnn.config import Config
from kerascnn.data.grouping import groups_of, keys_of
from kerascnn.errors import UserError
from kerascnn.runs import Run


def run(path: Path, group_by: str | None, groups: dict[str, str] | None = None) -> Run:
    """A run with what its groups follow from."""
    found = Run(path)
    found.path.mkdir(exist_ok=True)
    found.write_config(Config().replace(data={"group_by": group_by}))
    found.write_data({}, [(name, "ant", "val", group) for name, group in (groups or {}).items()], [])
    return found


def test_groups_are_what_the_pattern_matches(tmp_path) -> None:
    ids = np.array(["a/p1_1.png", "a/p1_2.png", "b/p2_1.png", "b/other.png"])
    keys, alone = keys_of(ids.tolist(), r"p\d+_")
    assert keys == ["p1_", "p1_", "p2_", "b/other.png"]
    assert alone == 1
    groups = groups_of(ids, run(tmp_path, r"p\d+_"))
    assert groups is not None
    assert groups[0] == groups[1]
    assert len(set(groups.tolist())) == 3


def test_groups_of_the_source_are_in_the_runs_split_csv(tmp_path) -> None:
    known = {"a": "p1", "b": "p1", "c": "", "d": ""}
    groups = groups_of(["a", "d", "b", "c"], run(tmp_path, None, known))
    assert groups is not None
    assert groups[0] == groups[2]
    assert len(set(groups.tolist())) == 3


def test_no_groups_where_every_image_stands_alone(tmp_path) -> None:
    assert groups_of(["a", "b"], run(tmp_path, None)) is None
    assert groups_of(["a/1", "b/2"], run(tmp_path, r"\d")) is None
    assert groups_of(["1", "2"], run(tmp_path, "no such")) is None
    with pytest.raises(UserError, match="not a regular expression"):
        groups_of(["1"], run(tmp_path, "("))
