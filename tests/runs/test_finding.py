"""Which run a word means: a path, a name, the newest."""

import os
from pathlib import Path

import pytest

from kerascnn.config import Config
from kerascnn.errors import UserError
from kerascnn.runs import Run
from kerascnn.runs.finding import DEMO_FILE, find


def made(folder: Path, *, finished: bool, when: int) -> Path:
    run = Run(folder)
    run.write_config(Config())
    if finished:
        run.write_metrics({"test": {}})
    os.utime(run.config_file, (when, when))
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made(tmp_path / "first", finished=True, when=100)
    made(tmp_path / "second", finished=True, when=200)
    made(tmp_path / "third", finished=False, when=300)
    made(tmp_path / ".fourth.7.aside", finished=True, when=400)
    return tmp_path


def test_latest_is_the_newest(home: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    assert find("latest", home) == home / "second"
    assert capsys.readouterr() == ("", f"kerascnn: latest is {home / 'second'}\n")
    assert find("latest", home, finished=False) == home / "third"
    assert find(str(home / "latest")) == home / "second"
    monkeypatch.chdir(home)
    assert find("./latest") == Path("second")


def test_a_later_evaluation_makes_no_run_newer(home: Path) -> None:
    Run(home / "first").write_metrics({"test": {"temperature": 1}})
    assert find("latest", home) == home / "second"


def test_names_and_paths(home: Path) -> None:
    assert find("first", home) == home / "first"
    assert find(str(home / "first"), Path("elsewhere")) == home / "first"
    (home / "latest").mkdir()
    assert find(str(home / "latest")) == home / "latest", "what is really called so comes first"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("firts", "there is no firts - perhaps you meant '{home}/first'"),
        ("{home}/secnd", "perhaps you meant '{home}/second'"),
        ("{home}/secnd/config.toml", "perhaps you meant '{home}/second/config.toml'"),
        ("{home}/zzzzzz", "there is no {home}/zzzzzz (`kerascnn list` shows"),
        ("{home}/first/latest", None),
        ("{home}/empty/latest", "there is no finished run in {home}/empty"),
        ("{home}/begun/latest", "{home}/begun/third is not finished: the command that started it resumes it"),
    ],
)
def test_what_is_not_there(home: Path, word: str, message: str | None) -> None:
    made(home / "begun" / "third", finished=False, when=1)
    if message is None:  # a run is the newest of itself
        assert find(word.format(home=home)) == home / "first"
        return
    with pytest.raises(UserError) as raised:
        find(word.format(home=home), home)
    assert message.format(home=home) in str(raised.value)


def test_demo_is_the_network_in_the_package_unless_a_run_has_that_name(home: Path) -> None:
    assert find("demo", home) == DEMO_FILE
    assert DEMO_FILE.is_file()
    made(home / "demo", finished=True, when=500)
    assert find("demo", home) == home / "demo"
