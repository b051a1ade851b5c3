"""Who holds a directory, what is done where it is gone or cannot be held, and what the dead have left in it."""

import errno
import fcntl
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kerascnn.comparison.comparison_directory import ComparisonDirectory
from kerascnn.config import Config
from kerascnn.errors import STOPPED, Stopped, UserError
from kerascnn.runs import Busy, LeaseLost, Run, files, hold, lease, lease_files, prepare
from kerascnn.runs.files import write_file
from kerascnn.runs.lease_files import live_holder, newest
from kerascnn.studies.executor import Slot
from kerascnn.studies.executors.local import LocalExecutor


@pytest.fixture
def living():
    """The number of a process of this user that runs."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        yield child.pid
        child.kill()


@pytest.mark.parametrize("way", ["removed", pytest.param("replaced", marks=pytest.mark.slow)])
def test_a_run_whose_folder_goes_away_is_left(tmp_path: Path, way: str) -> None:
    run = Run(tmp_path / "run")
    with run.lock():
        run.write_config(Config())
        shutil.rmtree(run.path)
        if way == "replaced":
            run.path.mkdir()
            (run.path / ".lease").mkdir()
            (run.path / ".lease" / "1").touch()
        for write in (lambda: run.write_history([{"epoch": 1}]), lambda: run.write_plot("a.png", b""), run.still_there):
            with pytest.raises(Stopped, match="was removed or replaced while this process worked in it"):
                write()
    assert sorted(entry.name for entry in tmp_path.rglob("*")) == ([] if way == "removed" else [".lease", "1", "run"])
    with run.lock():  # the next start makes it anew
        run.write_config(Config())
    assert run.config_file.exists()


@pytest.mark.parametrize("what", [Run, ComparisonDirectory])
def test_what_fails_in_a_folder_that_is_gone_says_that(
    tmp_path: Path, what: type[Run] | type[ComparisonDirectory]
) -> None:
    """A file beside the one that is written, as Keras makes it, or a file that was to be read."""
    place = what(tmp_path / "place")

    def work(gone: bool) -> None:
        with place.lock():
            if gone:
                shutil.rmtree(place.path)
            (place.path / "nowhere" / ".aside-best.keras").touch()

    with pytest.raises(Stopped, match="was removed or replaced while this process worked in it"):
        work(gone=True)
    with pytest.raises(FileNotFoundError):
        work(gone=False)


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK], ids=os.strerror)
def test_a_file_system_without_flock_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """There the heartbeat alone says that a holder lives, also to processes of the same kernel."""

    def flock(descriptor: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    run = Run(tmp_path / "a")
    with hold(run.path, "run a", ttl=0.6):
        with pytest.raises(Busy, match=rf"a is in use by process {os.getpid()} on "), hold(run.path, "a", ttl=0.6):
            pass
        write_file(run.path / "x", b"x")
    with run.lock():  # it was given back: nobody waits
        assert run.path.joinpath("x").read_bytes() == b"x"


def elsewhere(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """What follows is done on another machine."""
    monkeypatch.setattr(lease_files, "kernel", lambda: name)


def test_a_frozen_holder_is_followed_and_loses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last write is between the check and the rename: what it would rename is gone."""
    written, moved = tmp_path / "metrics.json", files.replace
    told: list[str] = []
    frozen = hold(tmp_path, "run a", ttl=0.6)
    held = frozen.__enter__()
    held._over.set()  # no heartbeat any more
    with pytest.raises(Busy, match=f"in use by process {os.getpid()}: "), hold(tmp_path, "run a"):
        pass  # on the same kernel it lives: Ctrl-Z

    def thawed(aside: Path, path: Path) -> None:
        held.check()
        monkeypatch.setattr(files, "replace", moved)
        elsewhere(monkeypatch, "other")
        with hold(tmp_path, "run a", ttl=0.6, say=told.append) as follower:
            assert (held.generation, follower.generation) == (1, 2)
            write_file(written, b"theirs")
            with pytest.raises(FileNotFoundError):
                aside.replace(path)

    monkeypatch.setattr(files, "replace", thawed)
    write_file(written, b"mine")
    with pytest.raises(LeaseLost, match=r"run a: process \d+ .*has taken over .* nothing more is written here") as lost:
        held.check()
    assert lost.value.code == STOPPED
    with pytest.raises(LeaseLost):
        frozen.__exit__(ValueError, ValueError("whatever fails"), None)
    assert written.read_bytes() == b"theirs"
    assert live_holder(tmp_path) is None


@pytest.mark.parametrize("ago", [0.0, 3600.0], ids=["just now", "an hour ago"])
def test_a_dead_holder_of_another_machine_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ago: float
) -> None:
    held = hold(tmp_path, "run a", ttl=1.2)
    dead = held.__enter__()
    dead._over.set()
    elsewhere(monkeypatch, "other")
    os.utime(dead.file, (time.time() - ago,) * 2)
    began = time.monotonic()
    with hold(tmp_path, "run a", ttl=1.2):
        took = time.monotonic() - began
        assert took > (0.2 if ago else 1.0)
        with pytest.raises(LeaseLost):
            dead.check()
    held.__exit__(None, None, None)
    assert sorted(entry.name for entry in (tmp_path / ".lease").iterdir()) == ["2"]


def test_a_live_holder_of_another_machine_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hold(tmp_path, "run a", ttl=0.6):
        elsewhere(monkeypatch, "other")
        assert live_holder(tmp_path) == f"process {os.getpid()} on {platform.node()}"
        with (
            pytest.raises(Busy, match=rf"process {os.getpid()} on {platform.node()}: wait"),
            hold(tmp_path, "a", ttl=0.6),
        ):
            pass


def test_whoever_judged_a_directory_that_was_replaced_does_not_hold_the_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with hold(folder, "run a"), hold(tmp_path / "other", "b"):
        pass
    seen = newest(folder)
    shutil.rmtree(folder)
    with hold(folder, "run a") as new:
        late = lease._created(folder, "run a", 2, 60)
        assert not lease._follows(late, seen)
        os.close(late._descriptor)
        late.file.unlink()
        assert new.in_place


def test_what_the_dead_left_goes_and_what_the_living_write_stays(tmp_path: Path, living: int) -> None:
    run = Run(tmp_path / "run")
    run.write_config(Config())
    dead = [
        ".split.csv.999999.aside",
        "predictions/.test.npz.999999.aside",
        ".aside-best.keras",
        f".x.{os.getpid()}.aside",
    ]
    dead += ["checkpoints/.step-1.aside", "tensorboard/train/.aside-4711"]
    for name in dead:
        path = run.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (run.path / "checkpoints" / ".step-2.999999.aside").mkdir()
    written = run.path / f".latency.json.{living}.aside"
    written.touch()
    mine = [run.path / "notes.aside", run.path / ".hidden"]
    for path in mine:
        path.touch()
    run.tidy()
    left = [path for path in run.path.rglob("*") if "aside" in path.name]
    assert sorted(left) == sorted([written, mine[0]])
    assert mine[1].exists()
    os.utime(written, (0, 0))  # an hour old: another process has the writer's number now
    run.tidy()
    assert not written.exists()


@pytest.mark.parametrize("name", [".", ".."])
def test_a_run_named_by_dots_has_its_folders_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / "flowers" / "plots").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "flowers" / ("plots" if name == ".." else ""))
    assert Run(name).name == "flowers"


def test_an_overwritten_run_is_not_held_in_its_old_place(tmp_path: Path) -> None:
    """Who waits for the lock of a folder that is then removed must not hold what nobody sees."""
    config = Config(logging={"runs_dir": tmp_path, "run": "run", "overwrite": True})
    run = Run(tmp_path / "run")
    with run.lock():
        run.write_config(config)
    old = os.open(run.path / ".lease" / "1", os.O_RDWR)
    prepare(config, "f", "pets")
    with run.lock():
        fcntl.flock(old, fcntl.LOCK_EX | fcntl.LOCK_NB)  # another file: the old one holds nobody off
        assert os.fstat(old).st_ino != (run.path / ".lease" / "1").stat().st_ino
        assert os.fstat(old).st_nlink == 0
    os.close(old)


DAMAGE = ["", "null", "[]", "[" * 100_000, '{"a": 1', "\xff"]


@pytest.mark.parametrize("text", DAMAGE, ids=lambda text: repr(text)[:12])
def test_a_damaged_file_is_one_message(tmp_path: Path, text: str) -> None:
    run = Run(tmp_path)
    for path, read in ((run.data_file, run.data), (run.metrics_file, run.metrics), (run.latency_file, run.latency_ms)):
        path.write_text(text, encoding="latin-1")
        with pytest.raises(UserError, match=rf"{path.name} is damaged"):
            read()
    run.environment_file.write_text(text, encoding="latin-1")
    assert len(run.add_environment({"policy": "float32"})) == 1
    run.history_file.write_text("epoch,loss\n1,x\n")
    with pytest.raises(UserError, match=r"history\.csv is damaged"):
        run.history()
    run.predictions.mkdir()
    (run.predictions / "test.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(UserError, match=r"test\.npz is damaged"):
        run.read_predictions("test")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"class_names": null}', "class_names: expected a list of names"),
        ('{"class_names": [1, 2]}', "class_names: expected a list of names"),
        ('{"class_names": []}', "class_names: expected a list of names"),
        ('{"image_size": "32"}', "image_size: expected a number of pixels, got '32'"),
        ('{"resize": "zoom"}', "resize: expected auto or crop or pad or squash, got 'zoom'"),
        ('{"fingerprint": 3}', "fingerprint: expected text, got '3'"),
    ],
)
def test_facts_that_cannot_be_are_named(tmp_path: Path, content: str, message: str) -> None:
    run = Run(tmp_path)
    run.data_file.write_text(content)
    with pytest.raises(UserError, match=f"data.json is damaged: {message}"):
        run.data()


def test_a_key_that_is_missing_is_named_with_its_file(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.metrics_file.write_text('{"test": {"accuracy": {}}}')
    with pytest.raises(UserError, match=r"metrics\.json is damaged or of another version: it has no 'value'"):
        run.metrics()["test"]["accuracy"]["value"]
    assert run.metrics().get("val") is None
    assert "finished" not in run.metrics()


@pytest.mark.slow
def test_two_launches_of_one_run_both_end_well(tmp_path: Path) -> None:
    """Two comparisons that share a run: neither is told that it cannot be trained."""
    config = Config(
        data={"fraction": 0.05},
        model={"arch": "resnet20", "width": 0.25, "blocks": (1, 1, 1)},
        fit={"epochs": 2, "batch_size": 32},
        logging={"runs_dir": tmp_path, "run": "run"},
    )
    run = Run(tmp_path / "run")
    run.write_config(config)
    slot, stop = Slot(), threading.Event()
    first, second = (LocalExecutor().train(run.path, None, slot, candidate=False, stop=stop) for _ in range(2))
    assert next(first)["epoch"] == 1
    assert [row["epoch"] for row in second] == [
        2
    ]  # of those that were not there yet: it waits for who was first, or takes over from it
    assert [row["epoch"] for row in first] == [2]
    assert run.finished


@pytest.mark.parametrize(("off", "said"), [(3600, "3,600 s ahead of"), (-3600, "3,600 s behind"), (5, "")])
def test_a_clock_that_is_off_is_told_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, off: float, said: str
) -> None:
    """All times of a lease are those of the file server: a holder lives, and is followed, whatever this machine's clock says."""
    right, told = time.time, list[str]()
    monkeypatch.setattr(time, "time", lambda: right() + off)
    with hold(tmp_path, "run a", ttl=0.6, say=told.append):
        assert len(told) == bool(said)
        assert said in "".join(told)
        elsewhere(monkeypatch, "other")
        with pytest.raises(Busy, match="in use by process"), hold(tmp_path, "run a", ttl=0.6):
            pass
    with hold(tmp_path, "run a", ttl=0.6) as follower:
        assert follower.generation == 2
