"""How a training in a process of its own ended says whose doing it was; what it raises travels between processes."""

import pickle
import signal
import threading
from pathlib import Path

import pytest

from kerascnn.config import Config
from kerascnn.errors import STOPPED, TRAINING_FAILED, USER_ERROR, Stopped, TrainingFailed
from kerascnn.runs import Run
from kerascnn.studies.executor import ChildLost, Slot
from kerascnn.studies.executors.local import LocalExecutor
from tests.studies.doomed import doom


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
    expected = ChildLost if lost else TrainingFailed
    with pytest.raises(expected, match=r"run run (ended with code|was killed by)") as caught:
        list(LocalExecutor().train(run.path, None, Slot(), candidate=False, stop=threading.Event()))
    error = caught.value
    if isinstance(error, ChildLost):
        assert (error.code, error.killed) == (STOPPED, killed)
        assert "the same command continues" in str(error)


@pytest.mark.parametrize("error", [ChildLost("run a was killed", killed=True), Stopped("time is up", 130)], ids=repr)
def test_what_an_executor_raises_pickles(error: Stopped) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
