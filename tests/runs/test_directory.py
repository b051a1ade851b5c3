"""Identity, lock and files of a run's directory."""

import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from kerascnn import runs
from kerascnn.config import Config
from kerascnn.errors import UserError
from kerascnn.runs import Run, directory, prepare


def config_in(tmp_path: Path, **sections) -> Config:
    return Config(logging={"runs_dir": tmp_path}).replace(**sections)


def test_identity_ignores_what_may_change_between_two_starts(tmp_path: Path) -> None:
    plain = runs.identity(Config(), "abc")
    moved = config_in(
        tmp_path,
        data={"dataset": "folder:/elsewhere", "cache": "off", "data_dir": "x"},
        fit={"stop_epoch": 3, "max_hours": 1, "checkpoint_every": 5},
        devices={"devices": "cpu:2", "dtype": "float32"},
        logging={"profile": True},
    )
    assert runs.identity(moved, "abc") == plain == {"data.fingerprint": "abc"}


@pytest.mark.parametrize(
    "sections",
    [
        {"fit": {"epochs": 11}},
        {"fit": {"seed": 1}},
        {"model": {"filters": {"stage1": 8}}},
        {"optim": {"lr": 0.3}},
        {"augment": {"augment": ("flip",)}},
        {"data": {"split_seed": 1}},
    ],
    ids=str,
)
def test_identity_moves_with_what_decides_the_result(sections) -> None:
    assert runs.digest(runs.identity(Config().replace(**sections), "abc")) != runs.digest(
        runs.identity(Config(), "abc")
    )
    assert runs.digest(runs.identity(Config(), "abd")) != runs.digest(runs.identity(Config(), "abc"))


def test_default_name() -> None:
    config = Config(model={"arch": "resnet20"}, fit={"seed": 3})
    name = runs.default_name(config, "abc", "my photos/2026")
    assert name == f"resnet20_my-photos-2026_s3-{runs.digest(runs.identity(config, 'abc'))}"


def test_folds_belong_to_a_run_and_change_no_other() -> None:
    config = Config()
    plain = runs.identity(config, "abc")
    assert (
        runs.identity(config.replace(data={"folds": None, "fold": None}), "abc") == plain == {"data.fingerprint": "abc"}
    )
    folds = config.replace(data={"folds": 5, "fold": 2})
    assert runs.identity(folds, "abc") == {**plain, "data.folds": 5, "data.fold": 2}
    assert config.draw_seed == folds.replace(data={"fold": 1}).draw_seed == 0
    assert folds.draw_seed not in (0, 1)


def written(config: Config, fingerprint: str = "abc") -> Run:
    run = prepare(config, fingerprint, "mini")
    with run.lock():
        run.write_config(config)
        run.write_data({"fingerprint": fingerprint}, [("a.jpg", "cat", "train")], [])
    return run


def test_another_identity_lists_the_keys_and_the_ways_out(tmp_path: Path) -> None:
    written(config_in(tmp_path, logging={"run": "mine"})).write_history([{"epoch": 1, "loss": 2.0}])
    other = config_in(tmp_path, logging={"run": "mine"}, fit={"epochs": 12}, optim={"lr": 0.2})
    with pytest.raises(UserError) as raised:
        prepare(other, "abc", "mini")
    message = str(raised.value)
    assert "fit.epochs: None there, 12 asked for" in message
    assert "optim.lr: None there, 0.2 asked for" in message
    assert "--overwrite" in message


@pytest.mark.parametrize("kept", ["history", "checkpoint", "weights", "nothing"])
def test_a_start_that_trained_nothing_keeps_its_name_from_nobody(tmp_path: Path, kept: str) -> None:
    """Out of memory with a batch of 512: the advice is 256, under the same name."""
    run = written(config_in(tmp_path, logging={"run": "flowers"}, fit={"batch_size": 512}))
    run.plots.mkdir()
    (run.checkpoints / ".step-1.aside").mkdir(parents=True)
    other = config_in(tmp_path, logging={"run": "flowers"}, fit={"batch_size": 256})
    if kept == "nothing":
        prepare(other, "abc", "mini")
        assert not run.path.exists()
        return
    if kept == "history":
        run.write_history([{"epoch": 1, "loss": 2.0}])
    elif kept == "checkpoint":
        (run.checkpoints / "step-1").mkdir()
    else:
        run.best_model.touch()
    with pytest.raises(UserError, match=r"fit.batch_size: 512 there, 256 asked for"):
        prepare(other, "abc", "mini")
    assert run.config().fit.batch_size == 512


def test_a_start_that_has_trained_nothing_yet_is_not_taken_over(tmp_path: Path) -> None:
    run = written(config_in(tmp_path, logging={"run": "flowers"}))
    with run.lock(), pytest.raises(UserError, match="in use by process"):
        prepare(config_in(tmp_path, logging={"run": "flowers"}, fit={"seed": 1}), "abc", "mini")
    assert run.data_file.exists()


def test_overwriting_is_not_repeated_by_who_repeats_the_run(tmp_path: Path) -> None:
    run = written(config_in(tmp_path, logging={"overwrite": True}))
    run.write_metrics({"test": 1})
    assert prepare(run.config(), "abc", "mini").finished


def test_what_a_kill_left_of_the_first_write_or_of_overwriting_is_in_nobodys_way(tmp_path: Path) -> None:
    config = config_in(tmp_path, logging={"run": "flowers"})
    (tmp_path / "flowers").mkdir()
    (tmp_path / "flowers" / ".config.toml.4711.aside").touch()
    (tmp_path / ".flowers.4711.aside" / "checkpoints").mkdir(parents=True)
    run = written(config)
    assert run.config_file.exists()
    assert [entry.name for entry in tmp_path.iterdir()] == ["flowers"]


def test_same_identity_opens_the_same_run_and_overwrite_empties_it(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    run = written(config)
    run.write_metrics({"test": 1})
    assert prepare(config.replace(fit={"stop_epoch": 1}), "abc", "mini").finished
    assert not prepare(config.replace(logging={"overwrite": True}), "abc", "mini").finished


def test_a_folder_that_is_no_run_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear")
    with pytest.raises(UserError, match="is not a run"):
        prepare(config_in(tmp_path, logging={"run": "mine"}), "abc", "mini")
    with pytest.raises(UserError, match="is not a run"):
        prepare(config_in(tmp_path, logging={"run": "mine", "overwrite": True}), "abc", "mini")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "dear"


def _hold(path: Path, held, leave) -> None:
    with Run(path).lock():
        held.set()
        leave.wait(20)


def test_a_second_process_is_told_who_holds_the_run(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, leave = context.Event(), context.Event()
    child = context.Process(target=_hold, args=(tmp_path / "mine", held, leave))
    child.start()
    try:
        assert held.wait(30)
        with pytest.raises(UserError, match=f"in use by process {child.pid}"), Run(tmp_path / "mine").lock():
            pass
    finally:
        child.kill()
        child.join()
    with Run(tmp_path / "mine").lock():  # the kernel let go with the killed process
        assert f'"process": {os.getpid()},' in (tmp_path / "mine" / ".lease" / "2").read_text()


def test_waiting_for_who_holds_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, stop = Run(tmp_path / "mine"), threading.Event()
    with contextlib.ExitStack() as held:
        held.enter_context(run.lock())
        threading.Timer(0.2, held.close).start()
        with run.lock_when_free(), pytest.raises(UserError, match="in use"), run.lock():
            pass
    stop.set()
    with run.lock():
        with pytest.raises(UserError, match="in use"), run.lock_when_free(stop):
            pass
        monkeypatch.setattr(directory, "PATIENCE", -1)
        with pytest.raises(UserError, match="in use"), run.lock_when_free():
            pass


def test_children_do_not_inherit_the_lock(tmp_path: Path) -> None:
    run = Run(tmp_path / "mine")
    with run.lock():
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(20)"], close_fds=False)
    try:
        with run.lock():
            assert child.poll() is None
    finally:
        child.kill()
        child.wait()


def test_history_round_trips_float32_and_is_rewritten_whole(tmp_path: Path) -> None:
    run = Run(tmp_path)
    rows = [
        {"epoch": 1, "loss": float(np.float32(0.1)), "lr": 1e-7},
        {"epoch": 2, "loss": float(np.float32(1 / 3)), "lr": 0.0},
    ]
    run.write_history(rows[:1])
    run.write_history(rows)
    read = run.history()
    assert [row["epoch"] for row in read] == [1, 2]
    assert [np.float32(row["loss"]) for row in read] == [np.float32(row["loss"]) for row in rows]


def test_a_byte_order_mark_changes_nothing(tmp_path: Path) -> None:
    """Editors and spreadsheets put one in front of what they save."""
    run = Run(tmp_path)
    run.write_data({"fingerprint": "abc", "class_names": ["a"]}, [("a/1.png", "a", "train")], [])
    run.write_history([{"epoch": 1, "loss": 0.5}])
    run.write_config(Config())
    run.write_metrics({"epochs": 3})
    run.add_environment({"policy": "float32"})
    read = (run.data, run.split_rows, run.history, run.config, run.metrics)
    before = [each() for each in read]
    for path in (
        run.data_file,
        run.split_file,
        run.history_file,
        run.config_file,
        run.metrics_file,
        run.environment_file,
    ):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert [each() for each in read] == before
    assert len(run.add_environment({"policy": "float32"})) == 2


def test_names_that_are_not_text_survive(tmp_path: Path) -> None:
    run = Run(tmp_path)
    odd = os.fsdecode(b'caf\xe9, "x"\n.jpg')
    run.write_data({"fingerprint": "f", "skipped": [odd]}, [(odd, "ants", "train")], [(odd, "empty")])
    assert b"caf\xe9" in run.split_file.read_bytes()
    assert run.data_file.read_bytes()


def test_environment_keeps_every_start_and_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    run = Run(tmp_path)
    run.add_environment({"policy": "float32"})
    starts = run.add_environment({"policy": "mixed_bfloat16"})
    assert [start["policy"] for start in json.loads(run.environment_file.read_text())] == ["float32", "mixed_bfloat16"]
    assert starts[0]["variables"]["ONEDNN_MAX_CPU_ISA"] == "AVX2"
    assert "hush" not in run.environment_file.read_text()


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["/usr/bin/kerascnn", "compare", "my runs"], "kerascnn compare 'my runs'"),
        (["/usr/lib/kerascnn/fit.py", "--dataset", "my $photos"], "python -m kerascnn.fit --dataset 'my $photos'"),
        (["/usr/bin/kerascnn"], "kerascnn"),
        ([""], "kerascnn"),
    ],
    ids=str,
)
def test_the_command_is_shown_as_it_runs(monkeypatch: pytest.MonkeyPatch, argv: list[str], shown: str) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    assert runs.shown_command() == runs.with_door(shown) == shown


def test_a_command_kept_by_an_earlier_version_runs() -> None:
    assert runs.with_door("fit --arch resnet20") == "python -m kerascnn.fit --arch resnet20"


def test_nan_never_enters_metrics(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        Run(tmp_path).write_metrics({"accuracy": float("nan")})
    assert not Run(tmp_path).finished


def test_an_unfinished_run_has_no_metrics(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not finished"):
        Run(tmp_path).metrics()
    with pytest.raises(UserError, match="is not a run"):
        Run(tmp_path / "nothing").config()
