"""Folders for unfinished work: gone at the end, or at the next start after a kill; never while their process lives."""

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from kerascnn.runs.scratch import scratch, sweep

WORKS = """
import sys, pathlib
from kerascnn.runs.scratch import scratch
with scratch(pathlib.Path(sys.argv[1]), ".aside-") as folder:
    (folder / "half").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""


def works(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    command = [sys.executable, "-c", WORKS, str(parent)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return child, Path(child.stdout.readline().strip())


def test_the_living_keep_theirs_and_the_dead_leave_none(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / ".aside-999999-0badcafe").mkdir()  # of a process of another container, whatever its number
    first, folder = works(tmp_path)
    with first:
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["1", folder.name])
        sweep(tmp_path, ".aside-")
        assert (folder / "half").exists()
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert (folder / "half").exists()
    with scratch(tmp_path, ".aside-") as mine:
        assert not folder.exists()
        assert mine.parent == tmp_path
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_a_folder_that_somebody_else_named_is_never_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names = ["kerascnn-photos", "kerascnn-1-0badcafe", ".kerascnn-scratch-photos", ".kerascnn-scratch-1-0badcafe-old"]
    for name in names:
        (tmp_path / name / "dear").mkdir(parents=True)
    (tmp_path / ".kerascnn-scratch-1-0badcafe").mkdir()
    with scratch():
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    for name in (".aside-photos", ".aside-1-0badcafe-2"):
        (tmp_path / name).mkdir()
    sweep(tmp_path, ".aside-")
    assert (tmp_path / ".aside-photos").exists()
    assert (tmp_path / ".aside-1-0badcafe-2").exists()


def test_what_was_renamed_stays(tmp_path: Path) -> None:
    with scratch(tmp_path, ".aside-") as folder:
        (folder / "whole").touch()
        folder.rename(tmp_path / "1")
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["1", "1/whole"]


def test_without_locks_nothing_is_swept_and_work_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(38, os.strerror(38))

    monkeypatch.setattr(fcntl, "flock", flock)
    left = tmp_path / ".aside-1-0badcafe"
    left.mkdir()
    with scratch(tmp_path, ".aside-") as folder:
        assert folder.exists()
    assert [path.name for path in tmp_path.iterdir()] == [left.name]
