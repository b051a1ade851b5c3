"""How many steps a call runs: a table, and that it changes no bit."""

import shlex
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerascnn.config import Config
from kerascnn.data import pipeline
from kerascnn.fit import main
from kerascnn.runs import Run
from kerascnn.training.execution import adopt, execution_plan, operations

TINY, USUAL, HUGE = 1e8, 3e10, 1e12  # operations of a step: 0.3 ms, 0.1 s and 3 s of a CPU
RESNET20 = 6 * 40.8e6 * 128


def test_the_operations_of_a_step_count_both_passes_all_views_and_the_teacher() -> None:
    plain = Config(fit={"batch_size": 10})
    assert operations(plain, macs=100, asked=0) == 6 * 100 * 10
    assert operations(plain, macs=100, asked=1000) == (6 * 100 + 2 * 1000) * 10
    both = plain.replace(optim={"sam_rho": 0.1}, augment={"augment": ("augmix",), "augmix_jsd": 12.0})
    assert operations(both, macs=100, asked=0) == 3 * 12 * 100 * 10


@pytest.mark.parametrize(
    ("whole", "options", "steps"),
    [
        ((100, None, None), {"operations": TINY}, 20),  # the most that divides, no more than between two points
        ((94, None, None), {"operations": TINY}, 2),
        ((94, None, None), {"operations": TINY, "most": 50}, 47),
        ((351, None, None), {"operations": TINY}, 13),  # CIFAR-10 in batches of 128: points need not divide
        ((351, None, None), {"operations": RESNET20, "kind": "gpu"}, 13),
        ((351, None, None), {"operations": RESNET20}, 1),
        ((97, None, None), {"operations": TINY}, 1),  # a prime number of steps: never over the epoch's end
        ((100, 35, None), {"operations": TINY}, 5),  # what is left of an epoch
        ((100, None, 6), {"operations": TINY}, 2),  # checkpoints where they were asked for
        ((100, None, None), {"operations": TINY, "most": 1}, 1),
        ((100, None, None), {"operations": USUAL}, 1),  # Python costs less than one per cent already
        ((100, None, None), {"operations": USUAL / 4}, 4),
        ((100, None, None), {"operations": HUGE}, 1),  # a signal does not wait
        ((100, None, None), {"operations": HUGE, "kind": "gpu"}, 5),
        ((100, None, None), {"operations": TINY, "replicas": 2}, 1),  # keras#19246
        ((100, None, None), {"operations": TINY, "profile": True}, 1),
    ],
)
def test_execution_plan(whole, options, steps):
    assert execution_plan(whole, **{"kind": "cpu", "most": 20, **options}) == steps


FIT = shlex.split("--arch resnet20 --blocks 1 1 1 --width 0.125 --fraction 0.02 --batch-size 11 --epochs 2")


def fitted(tmp_path: Path, name: str, *flags: str) -> Run:
    assert main([*FIT, "--runs-dir", str(tmp_path), "--no-export", "--run", name, *flags]) == 0
    return Run(tmp_path / name)


def weights(run: Run) -> list[np.ndarray]:
    return keras.models.load_model(run.best_model, compile=False).get_weights()


@pytest.mark.training
@pytest.mark.slow
def test_steps_per_execution_changes_no_bit(tmp_path, monkeypatch):
    used = []
    fit = keras.Model.fit
    monkeypatch.setattr(
        keras.Model, "fit", lambda self, *a, **k: used.append(self.steps_per_execution) or fit(self, *a, **k)
    )
    single = fitted(tmp_path, "single", "--steps-per-log", "1")
    several = fitted(tmp_path, "several", "--steps-per-log", "10")
    assert used == [1, 10]  # of 10 steps an epoch
    for one, other in zip(weights(single), weights(several), strict=True):
        np.testing.assert_array_equal(one, other)
    columns = ("loss", "accuracy", "val_loss", "val_accuracy", "lr")
    rows = [[row[name] for name in columns] for run in (single, several) for row in run.history()]
    assert rows[:2] == rows[2:]


@pytest.mark.training
@pytest.mark.parametrize("steps", [1, 10])
def test_waiting_is_not_what_runs_beside_a_step(steps):
    """A step of 60 ms waits a quarter of the time for batches that take 80 ms, also within an execution."""

    def produced(index):
        time.sleep(0.08)
        return index

    batches = tf.data.Dataset.range(10_000).map(
        lambda i: tf.ensure_shape(tf.numpy_function(produced, [i], tf.int64), [])
    )
    batches = batches.map(lambda _: (tf.zeros([8, 4]), tf.zeros([8, 1]))).prefetch(2)
    layer = keras.layers.Lambda(lambda x: x + tf.ensure_shape(tf.numpy_function(computed, [x], tf.float32), x.shape))
    model = keras.Sequential([keras.Input((4,), batch_size=8), layer, keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    adopt(model, steps)
    stream, wait = pipeline.timed(batches)
    model.fit(stream, steps_per_epoch=10, verbose=0, shuffle=False)
    wait.reset()
    start = time.perf_counter()
    model.fit(stream, steps_per_epoch=30, verbose=0, shuffle=False)
    share = wait.seconds() / (time.perf_counter() - start)
    assert 0.02 < share < 0.75  # 1 if it counted what runs beside the step; a busy machine moves the quarter


def computed(x):
    time.sleep(0.06)
    return 0 * x


def test_accumulation_of_more_than_an_epoch_is_refused(tmp_path, capsys):
    assert main([*FIT, "--runs-dir", str(tmp_path), "--accumulate", "11"]) == 2
    assert "--accumulate 11: an epoch has 10 batches of 11" in capsys.readouterr().err
