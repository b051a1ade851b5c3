"""How a training in a process of its own ended says whose doing it was."""

import signal
from pathlib import Path

import pytest
from doomed import doom

from kerascnn import cli, runs
from kerascnn.config import Config
from kerascnn.runs import Run


@pytest.mark.parametrize(
    ("code", "lost", "killed"),
    [
        (cli.USER_ERROR, False, False),
        (cli.TRAINING_FAILED, False, False),
        (cli.STOPPED, True, False),  # what `fit` answers to a full disk
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
    expected = runs.ChildLost if lost else cli.TrainingFailed
    with pytest.raises(expected, match=r"run run (ended with code|was killed by)") as caught:
        list(runs.launch(run.path))
    error = caught.value
    if isinstance(error, runs.ChildLost):
        assert (error.code, error.killed) == (cli.STOPPED, killed)
        assert "the same command goes on" in str(error)
