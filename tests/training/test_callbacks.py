"""What is best, when patience ends, and how stopping is said."""

import math
import signal

import keras
import pytest

from kerascnn.cli.screen import Screen
from kerascnn.errors import TrainingFailed
from kerascnn.tracking.board import Board
from kerascnn.tracking.curves import Curves
from kerascnn.tracking.tracker import Subject
from kerascnn.training.callbacks import CallbackList, SaveCheckpoints, StopAtNaN, best_epoch, exhausted
from kerascnn.training.checkpoints import Store
from kerascnn.training.showing import ShowProgress
from kerascnn.training.stopping import StopRequest


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
        (rows((0.1, math.nan), (0.9, 0.5)), "val_loss", 2),  # a loss that was none is the worst
        (rows((0.7, math.nan), (0.7, 1)), "val_accuracy", 2),
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


class OnDevice:
    """A metric that tells how often somebody waited for its value."""

    looks = 0

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        OnDevice.looks += 1
        return self.value


def network() -> keras.Model:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    return model


def test_callbacks_wait_for_the_device_between_two_points_only(tmp_path) -> None:
    finite = StopAtNaN(0, lambda: save.kept(), every=20)
    save = SaveCheckpoints(Store(tmp_path), 0, [], dict, StopRequest(), None, check=finite.look)
    board = Curves(
        [Board(Subject("run", tmp_path))], every_steps=20, step=0, epochs_done=0, input_wait=None, images_per_step=4
    )
    show = ShowProgress(Screen(), epochs=1, steps_per_epoch=45, first_step=0, monitor="val_accuracy", rows=[])
    kept = CallbackList([finite, board, show, save], add_history=True, model=network())
    kept.on_train_begin()
    kept.on_epoch_begin(0)
    looks = []
    for batch in range(45):
        OnDevice.looks = 0
        kept.on_train_batch_begin(batch)
        kept.on_train_batch_end(batch, {"loss": OnDevice(1.0), "accuracy": OnDevice(0.5)})
        kept.on_test_batch_end(batch, {"loss": OnDevice(1.0)})
        looks.append(OnDevice.looks)
    show.close()
    assert [batch + 1 for batch, count in enumerate(looks) if count] == [20, 40]


def steps(kept: CallbackList, losses: list[float]) -> None:
    """An epoch of steps with these losses, as `fit` reports them."""
    kept.on_epoch_begin(0)
    for batch, loss in enumerate(losses):
        kept.on_train_batch_begin(batch)
        kept.on_train_batch_end(batch, {"loss": OnDevice(loss)})
    kept.on_epoch_end(0)


@pytest.mark.parametrize(
    ("every", "checkpoint_every", "found_at"), [(1, None, 3), (20, None, 20), (50, None, 45), (20, 2, 4)]
)
def test_a_loss_that_is_no_number_is_found_before_it_is_saved(tmp_path, every, checkpoint_every, found_at) -> None:
    finite = StopAtNaN(0, lambda: save.kept(), every)
    save = SaveCheckpoints(Store(tmp_path), 0, [], dict, StopRequest(), checkpoint_every, check=finite.look)
    kept = CallbackList([finite, save], model=network())
    saved = "step 2 is kept" if checkpoint_every else "no step was finished"
    with pytest.raises(TrainingFailed, match=rf"the loss is nan at step {found_at} .*{saved}"):
        steps(kept, [1.0, 1.0, *[math.nan] * 43])
    assert [path.name for path in tmp_path.iterdir()] == (["step-2"] if checkpoint_every else [])
