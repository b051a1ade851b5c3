"""What is said of words that a command does not take: every flag of every command, in one line."""

from typing import Literal

import pytest

from kerascnn.__main__ import main
from kerascnn.cli import flags
from kerascnn.cli.parsing import OfData, parse_config
from kerascnn.completion import SCHEMAS
from kerascnn.config import Config
from kerascnn.config.section import Section
from kerascnn.errors import UserError
from kerascnn.predict import Predict


def named(schema: type[Section]) -> list[flags.Flag]:
    return [flag for flag in flags.table(schema).values() if not flag.positional]


def said(schema: type[Section], *words: str) -> str:
    with pytest.raises(UserError) as raised:
        flags.check(schema, words)
    return str(raised.value)


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_every_flag_asks_for_what_it_takes(schema: type[Section]) -> None:
    """Where the value is missing, where it is of another type, and where it is none of the choices."""
    for flag in named(schema):
        if flag.switch:
            flags.check(schema, [flag.name, "--no-" + flag.name[2:]])
            continue
        assert said(schema, flag.name).startswith(f"{flag.name}: expected ")
        assert said(schema, flag.name).endswith(" after it, got nothing")
        if all(kind in (int, float) or getattr(kind, "__origin__", None) is Literal for kind in flag.kinds):
            assert said(schema, flag.name, *["abc"] * len(flag.kinds)).startswith(f"{flag.name}: ")
        if flag.optional:
            flags.check(schema, [flag.name, "None"])


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_every_misspelt_flag_names_the_nearest(schema: type[Section]) -> None:
    for flag in named(schema):
        known = flags.table(schema)
        if flag.name[:-1] + "x" not in known:
            assert "perhaps you meant --" in said(schema, flag.name[:-1] + "x", "3")
        if len(flag.name) > 5 and flag.name[:-1] not in known:
            assert flag.name in said(schema, flag.name[:-1], "3")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("fit --lr abc", "--lr: expected a number, got 'abc'"),
        ("fit --epochs 3.5", "--epochs: expected a whole number, got '3.5'"),
        ("fit --epoch 3", "unknown flag --epoch - perhaps you meant --epochs"),
        ("fit --image 3", "unknown flag --image - perhaps you meant --image-size"),
        ("fit --val 3", "perhaps you meant --val-fraction or --val-is-val"),
        ("fit --confg quick", "perhaps you meant --config"),
        ("fit --zzzzzz", "unknown flag --zzzzzz (kerascnn fit --help)"),
        ("fit --epochs", "--epochs: expected a whole number after it, got nothing"),
        ("fit --epochs --lr 0.1", "--epochs: expected a whole number after it, got nothing"),
        ("fit --augment", "--augment: expected a word after it, got nothing"),
        ("fit --show-augment sheet.jpg", "--show-augment: expected a file that ends in .png, got sheet.jpg"),
        ("fit --augment flip cutot", "'cutot' is none of auto"),
        ("fit --crop-area 0.3", "--crop-area: expected a number and a number after it, got 0.3"),
        ("fit --crop-area=0.3", "--crop-area: expected a number and a number after it, got 0.3"),
        ("fit --filters stem", "--filters: expected pairs of a word and a whole number after it, got stem"),
        ("fit --filters stem x", "--filters: expected a whole number, got 'x'"),
        ("fit --blocks 2 x", "--blocks: expected a whole number, got 'x'"),
        ("fit --width-divisor 3", "--width-divisor: '3' is none of 8, 4, 2, 1"),
        ("fit --lr -1", "--lr: expected greater than 0, got -1"),
        ("evaluate RUN more", "'more': expected RUN and flags only"),
        ("fit --no-exprt", "perhaps you meant --no-export"),
        ("fit --no-epochs", "unknown flag --no-epochs"),
        ("fit --batch_size x", "--batch_size: expected a whole number, got 'x'"),
        ("evaluate RUN --tta flp", "'flp' is none of none, flip, shifts, crops - perhaps you meant 'flip'"),
        ("predict RUN x.jpg --top x", "--top: expected a whole number, got 'x'"),
        ("export RUN other", "'other': expected RUN and flags only"),
        ("archs --image-size x", "--image-size: expected a whole number, got 'x'"),
        ("benchmark --seconds x", "--seconds: expected a number, got 'x'"),
        ("tune --space x --trials many", "--trials: expected a whole number, got 'many'"),
        ("compare --seeds x", "--seeds: expected a whole number, got 'x'"),
    ],
)
def test_a_mistake_is_one_line(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("kerascnn: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert "│" not in captured.err


def test_words_of_a_config_give_it_back() -> None:
    words = "photos --lr 0.25 --augment flip cutout --filters stage1 12 stem 8 --crop-area 0.5 0.75 --no-export --image-size 96"
    config = parse_config(words.split(), prog="kerascnn fit", description="", schema=OfData).config
    spelt = flags.words(config, Config())
    assert spelt[:2] == ["--dataset", "photos"]
    assert parse_config(spelt, prog="kerascnn fit", description="") == config
    assert flags.words(Config(), Config()) == []


def test_fields_that_were_set() -> None:
    words = ["--lr", "-1", "--no-export", "--batch_size=3", "--json"]
    assert flags.given(Config, words) == {"lr", "export", "batch_size"}
    assert flags.given(Predict, words) == {"batch_size", "as_json"}
