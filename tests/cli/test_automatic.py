"""The words that ask to find a setting."""

import pytest

from kerascnn.cli.automatic import Automatic, duration_of
from kerascnn.errors import UserError


@pytest.mark.parametrize(
    ("words", "found", "rest"),
    [
        ("--lr find", Automatic(lr=True), ""),
        ("--lr=find --seed 1", Automatic(lr=True), "--seed 1"),
        ("photos --batch-size auto --lr 0.1", Automatic(batch_size=True), "photos --lr 0.1"),
        ("--batch_size auto --epochs auto", Automatic(batch_size=True, epochs=True), ""),
        ("--run auto --lr auto", Automatic(), "--run auto --lr auto"),
    ],
)
def test_words_are_taken(words: str, found: Automatic, rest: str) -> None:
    assert Automatic.taken_from(words.split()) == (found, rest.split())


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("1.5h", 5400)])
def test_durations(text: str, seconds: float) -> None:
    assert duration_of(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "1d", "30 m", "0s", "1h30"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UserError, match="--budget: expected a duration"):
        duration_of(text)


def test_epochs_and_budget_need_each_other() -> None:
    assert Automatic(epochs=True).within("2m").budget == 120
    with pytest.raises(UserError, match="give --budget"):
        Automatic(epochs=True).within(None)
    with pytest.raises(UserError, match="--budget is for --epochs auto"):
        Automatic(lr=True).within("2m")
