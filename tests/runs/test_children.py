"""How a training in a process of its own ended says whose doing it was."""

import signal
from pathlib import Path

import pytest

from kerascnn import runs
from kerascnn.config import Config
from kerascnn.errors import STOPPED, TRAINING_FAILED, USER_ERROR, TrainingFailed
from kerascnn.runs import Run
from tests.search.doomed import doom


@pytest.mark.parametrize(
    ("code", "lost", "killed"),
    [
        (USER_ERROR, False, False),
        (TRAINING_FAILED, False, False),
        (STOPPED, True, False),  # what `fit` answers to a full disk
        (1, True, False),
        (-signal.SIGKILL, True, True),  # what the kernel does where memory ends
    ],
)
def test_only_its_own_doing_is_final(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, lost: bool, killed: bool
) -> None:
    run = Run(tmp_path / "run")
    run.write_config(Config())
    doom(tmp_path, code, monkeypatch)
    expected = runs.ChildLost if lost else TrainingFailed
    with pytest.raises(expected, match=r"run run (ended with code|was killed by)") as caught:
        list(runs.launch(run.path))
    error = caught.value
    if isinstance(error, runs.ChildLost):
        assert (error.code, error.killed) == (STOPPED, killed)
        assert "the same command goes on" in str(error)
