"""What is best, when patience ends, and how stopping is said."""

import signal

import pytest

from kerascnn.callbacks import best_epoch, exhausted
from kerascnn.stopping import StopRequest


def rows(*pairs: tuple[float, float]) -> list[dict[str, float]]:
    return [{"epoch": i + 1, "val_accuracy": score, "val_loss": loss} for i, (score, loss) in enumerate(pairs)]


@pytest.mark.parametrize(
    ("history", "monitor", "expected"),
    [
        ([], "val_accuracy", 0),
        (rows((0.5, 1), (0.7, 1), (0.6, 1)), "val_accuracy", 2),
        (rows((0.7, 2), (0.7, 1), (0.7, 1.5)), "val_accuracy", 2),  # ties go to the lower val loss
        (rows((0.7, 1), (0.7, 1)), "val_accuracy", 1),  # then to the earlier epoch
        (rows((0.5, 3), (0.6, 2), (0.7, 2.5)), "val_loss", 2),
        (rows((0.5, 3), (0.6, 2)), "last epoch", 2),
    ],
)
def test_best_epoch(history, monitor, expected) -> None:
    assert best_epoch(history, monitor) == expected


def test_patience() -> None:
    history = rows((0.7, 1), (0.6, 1), (0.6, 1))
    assert exhausted(history, "val_accuracy", 2)
    assert not exhausted(history, "val_accuracy", 3)
    assert not exhausted(history, "val_accuracy", None)
    assert not exhausted([], "val_accuracy", 1)


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 75, "SIGTERM"), (None, 75, "time is up")],
)
def test_how_stopping_is_said(number, code, word) -> None:
    stop = StopRequest(None if number else 0)
    stop.signal = number
    assert stop.pending
    stopped = stop.stopped("step 3 is kept")
    assert stopped.code == code
    assert word in str(stopped)
    assert "step 3 is kept" in str(stopped)


def test_first_signal_asks_second_interrupt_ends() -> None:
    said: list[str] = []
    before = signal.getsignal(signal.SIGINT)
    with StopRequest().listening(said.append) as stop:
        assert not stop.pending
        signal.raise_signal(signal.SIGINT)
        assert stop.pending
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert len(said) == 1
    assert signal.getsignal(signal.SIGINT) == before
