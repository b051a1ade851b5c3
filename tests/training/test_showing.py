"""What training shows between two rows, step by step, and the time that is left after the last epoch."""

import time

import pytest

from kerascnn.cli.progress import Phase
from kerascnn.cli.screen import Screen
from kerascnn.training.ending import Ending
from kerascnn.training.showing import ShowProgress

ROW = {
    "epoch": 1,
    "loss": 1.0,
    "accuracy": 0.5,
    "val_loss": 1.0,
    "val_accuracy": 0.5,
    "val_macro_f1": 0.5,
    "images_per_second": 10.0,
    "input_wait": 0.1,
}


def opened(screen: Screen) -> dict[str, Phase]:
    return {phase.name: phase for phase in screen.active().values()}


def shown(screen: Screen, **more) -> ShowProgress:
    known = {
        "epochs": 2,
        "steps_per_epoch": 4,
        "first_step": 0,
        "monitor": "val_accuracy",
        "rows": [ROW],
        "val_steps": 2,
    }
    return ShowProgress(screen, **{**known, **more})


def test_every_wait_of_an_epoch_has_a_phase_and_bars_advance_with_each_step(capsys) -> None:
    screen = Screen()
    show = shown(screen)
    show.on_train_begin()
    show.on_epoch_begin(0)
    assert set(opened(screen)) == {"epoch 1", "compiling the training step"}
    seen = []
    for batch in range(4):
        show.on_train_batch_end(batch, {"loss": 1.0, "accuracy": 0.5})
        assert set(opened(screen)) == {"epoch 1"}
        seen.append(opened(screen)["epoch 1"].done)
    assert seen == [1, 2, 3, 4]
    show.on_test_begin()
    val = opened(screen)["compiling the scores, scoring val"]
    assert val.total == 2
    for batch in range(2):
        show.on_test_batch_end(batch)
        assert val.done == batch + 1
    show.on_test_end()
    show.on_epoch_end(0)
    show.on_epoch_begin(1)
    assert set(opened(screen)) == {"epoch 2"}, "compiled already"
    show.on_test_begin()
    assert set(opened(screen)) == {"scoring val"}
    show.close()
    assert not screen.active()
    head, legend, row = capsys.readouterr().out.splitlines()
    assert "wait" in head
    assert "* = best epoch so far by val_accuracy" in legend
    assert "wait = " in legend
    assert "left = " in legend
    assert "0.5000*" in row


def test_a_bar_advances_within_one_execution_of_many_steps(capsys) -> None:
    """Keras reports the end of an execution alone; what the pipeline has given out tells of the steps in it."""
    screen, given = Screen(), [10]
    show = shown(screen, first_step=1, batches=lambda: given[0])
    show.on_epoch_begin(0)
    bar = opened(screen)["epoch 1"]
    seen = []
    for given[0] in (10, 11, 12, 13):  # the batch that was given last is at work
        seen.append(bar.done)
    assert seen == [1, 1, 2, 3]
    show.on_train_batch_end(2)
    assert bar.done == 4
    show.close()


def test_time_left_has_what_follows_the_last_epoch_in_it(capsys) -> None:
    ending = Ending(batch_size=10, images=40, build=2.0, trace=3.0, picture=0.5)
    scored = 2 + 3 + 4 * 1.0 + 4 * 0.5
    assert ending.seconds(1.0) == pytest.approx(scored)
    ending.export_start = 6.0
    assert ending.seconds(1.0) > scored + 6 + 3 + 2
    show = shown(Screen(), epochs=1, after=lambda seconds: 600.0)
    show.on_epoch_begin(0)
    time.sleep(0.01)
    show.on_train_batch_end(3)
    show.on_epoch_end(0)
    assert "10 min 0 s" in capsys.readouterr().out
