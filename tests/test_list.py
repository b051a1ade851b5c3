"""`kerascnn list`: every state of a run, the best first, damage as a row."""

import json
import os
from pathlib import Path

import pytest

from kerascnn import list as listing
from kerascnn.config import Config
from kerascnn.runs import Run


def begun(folder: Path, name: str, *, val: tuple[float, ...] = ()) -> Run:
    run = Run(folder / name)
    run.write_config(Config(model={"arch": "resnet20"}, fit={"epochs": 5}))
    run.write_data({"name": "pets", "fingerprint": "f"}, [], [])
    if val:
        run.write_history([{"epoch": i + 1, "val_accuracy": value} for i, value in enumerate(val)])
    os.utime(run.config_file, (1_000_000, 1_000_000))
    return run


def finished(folder: Path, name: str, split: str, value: float) -> Run:
    run = begun(folder, name, val=(0.5, value))
    run.write_metrics({split: {"accuracy": {"value": value, "low": value - 0.02, "high": value + 0.02, "n": 100}}})
    return run


@pytest.fixture
def home(tmp_path: Path) -> Path:
    finished(tmp_path, "good", "test", 0.9)
    finished(tmp_path, "better\x1b[31m", "val", 0.95)
    begun(tmp_path, "cut short", val=(0.3, 0.2))
    begun(tmp_path, "new")
    begun(tmp_path, "diverged", val=(0.1,)).failure_file.write_text("the loss is nan\n")
    (tmp_path / "no run").mkdir()
    return tmp_path


def rows(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, dict]:
    assert listing.main([str(folder), "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {row["name"]: row for row in found}


def test_the_best_first_with_state_and_interval(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held = begun(home, "held", val=(0.4,))
    with held.lock():
        assert listing.main([str(home)]) == 0
        lines = capsys.readouterr().out.splitlines()
    shown = [" ".join(line.split()) for line in lines]
    assert [line.split("  ")[0].rstrip() for line in lines[1:7]] == [
        "better\\x1b[31m",
        "good",
        "held",
        "cut short",
        "diverged",
        "new",
    ]
    assert shown[0] == "run state arch data accuracy [95 %] when"
    assert "finished resnet20 pets val 95.00% [93.00%, 97.00%]" in shown[1]
    assert "finished resnet20 pets test 90.00% [88.00%, 92.00%]" in shown[2]
    assert "held running, epoch 1 of 5 resnet20 pets val 40.00%" in shown[3]
    assert "cut short stopped at epoch 2 of 5 resnet20 pets val 30.00%" in shown[4]
    assert "new stopped at epoch 0 of 5 resnet20 pets" in shown[6]
    assert shown[7] == "diverged: epoch 1 of 5: the loss is nan"
    assert not any("\x1b" in line for line in lines)


def test_asking_holds_nothing_where_the_holder_is_gone(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = begun(home, "killed")
    with run.lock() as held:
        pass
    os.utime(held.file)  # killed: it was not given back
    assert rows(home, capsys)["killed"]["state"] == "stopped"
    held.file.write_text("not a lease")
    os.utime(held.file, (1e9, 1e9 + 1))
    assert rows(home, capsys)["killed"]["state"] == "stopped"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.toml", "[model\n"),
        ("config.toml", "[model]\narchh = 'x'\n"),
        ("metrics.json", '{"test": {"acc'),
        ("metrics.json", "[]"),
        ("metrics.json", '{"test": {"accuracy": {"value": null}}}'),
        ("data.json", ""),
        ("data.json", "{}"),
        ("config.toml", "\xff\xfe"),
    ],
)
def test_damage_is_a_state(home: Path, file: str, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = finished(home, "broken", "test", 0.99)
    (run.path / file).write_text(content, encoding="latin-1")
    found = rows(home, capsys)
    assert found["broken"]["state"] == "damaged"
    assert found["broken"]["detail"]
    assert found["good"]["state"] == "finished", "one damaged run keeps no other from its row"
    assert listing.main([str(home)]) == 0
    assert "broken: " in capsys.readouterr().out


def test_a_history_that_was_cut_is_damage(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begun(home, "broken").history_file.write_text("epoch,val_accuracy\n1,0.3\n2,0.\x00x\n")
    assert rows(home, capsys)["broken"]["state"] == "damaged"


def test_one_run_latest_and_nothing(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    assert list(rows(home / "good", capsys)) == ["good"]
    os.utime(Run(home / "new").config_file, (4e9, 4e9))
    assert list(rows(home / "latest", capsys)) == ["new"]
    (home / "empty").mkdir()
    monkeypatch.chdir(home / "empty")
    assert listing.main([]) == 0
    assert "no runs in experiments/runs: kerascnn fit trains one" in capsys.readouterr().out
    assert listing.main([str(home / "goood")]) == 2
    assert "perhaps you meant" in capsys.readouterr().err
    assert listing.main([str(home / "good" / "config.toml")]) == 2
    assert "expected a folder of runs" in capsys.readouterr().err
