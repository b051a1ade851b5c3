"""Strata of images: a column of their table, or a part of the path."""

from pathlib import Path

import pytest

from kerascnn.config import Data
from kerascnn.data import strata
from kerascnn.data.room import Room
from kerascnn.errors import UserError

IDS = ("day/1.png", "night/2.png", "./day/3.png", "dusk.png")


@pytest.fixture
def table(tmp_path: Path) -> Data:
    rows = [
        "path,label,hour,patient",
        *(f"{name},cat,{hour},p{hour}" for name, hour in zip(IDS, ("1", " 2 ", "1", ""), strict=True)),
    ]
    (tmp_path / "images.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return Data(dataset=str(tmp_path / "images.csv"))


def test_a_column_of_the_table(table: Data) -> None:
    ids = ("dusk.png", "day/3.png", "night/2.png", "elsewhere.png")
    assert strata.of(table, "hour", ids, Room()) == ["others", "1", "2", "others"]


def test_a_part_of_the_path(table: Data) -> None:
    for section in (table, Data(dataset="photos")):
        found = strata.of(section, r"^(\w+)/", ("day/1.png", "night/2.png", "dusk.png"), Room())
        assert found == ["day", "night", "others"]


@pytest.mark.parametrize(
    ("given", "condition", "message"),
    [
        ({}, "hours", "'hours' is no column of a table and matches no path; one is 'day/1.png'"),
        ({}, "(", "--condition-on '[(]' is not a regular expression"),
        ({}, "patient", "no threshold of a group serves another split"),  # a usual name of groups
        ({"group_column": "hour"}, "hour", "no threshold of a group"),
        ({"group_by": "^d"}, "^d", "no threshold of a group"),
    ],
)
def test_what_is_refused(table: Data, given: dict[str, str], condition: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        strata.of(table.model_copy(update=given), condition, ("day/1.png", "dusk.png"), Room())
