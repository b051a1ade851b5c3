"""Everything with a memory comes back; damage is found and passed over."""

import resource
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerascnn.errors import UserError
from kerascnn.training import checkpoints
from kerascnn.training.callbacks import Resume, SaveCheckpoints
from kerascnn.training.checkpoints import Checkpoint, Store
from kerascnn.training.stopping import StopRequest


def small_model(units: int = 3) -> keras.Model:
    inputs = keras.Input((4,))
    hidden = keras.layers.Dropout(0.5, seed=1)(keras.layers.Dense(8)(keras.layers.BatchNormalization()(inputs)))
    model = keras.Model(inputs, keras.layers.Dense(units)(hidden))
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", weighted_metrics=["mae"])
    return model


def train(model: keras.Model, steps: int) -> None:
    rng = np.random.default_rng(0)
    model.fit(rng.normal(size=(8 * steps, 4)), rng.normal(size=(8 * steps, 3)), batch_size=8, shuffle=False, verbose=0)


def values(model: keras.Model) -> list[np.ndarray]:
    return [v.numpy() for v in checkpoints.variables_of(model)]


def test_seed_generators_optimizer_and_metrics_come_back(tmp_path: Path) -> None:
    model = small_model()
    train(model, 5)
    saved = values(model)
    assert len(saved) > len(model.weights) + len(model.optimizer.variables), "no seed generator or metric among them"
    Store(tmp_path).save(5, {"rows": []}, checkpoints.variables_of(model))
    train(model, 3)
    assert not np.array_equal(model.get_weights()[0], saved[0])
    checkpoints.restore(Store(tmp_path).latest(), checkpoints.variables_of(model))
    for before, after in zip(saved, values(model), strict=True):
        np.testing.assert_array_equal(before, after)


def test_the_two_newest_are_kept(tmp_path: Path) -> None:
    store, model = Store(tmp_path), small_model()
    for step in (1, 2, 10):
        store.save(step, {}, model.variables)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["step-10", "step-2"]
    assert store.latest().step == 10


@pytest.mark.parametrize("file", ["variables.npz", "state.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "missing", "empty"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path, file: str, damage: str) -> None:
    store, model = Store(tmp_path), small_model()
    for step in (1, 2):
        store.save(step, {"rows": [{"loss": float(step)}] * 20}, model.variables)
    path = tmp_path / "step-2" / file
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    if damage == "missing":
        path.unlink()
    else:
        content[middle] ^= 0xFF
        path.write_bytes({"cut": content[:middle], "flip": content, "empty": b""}[damage])
    said: list[str] = []
    assert store.latest(said.append).step == 1
    assert "step-2 is damaged" in said[0]


def test_a_checkpoint_that_finds_no_room_leaves_the_one_before(tmp_path: Path) -> None:
    store, model = Store(tmp_path), small_model()
    store.save(1, {}, model.variables)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match="step-2"):
            store.save(2, {}, model.variables)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [entry.name for entry in tmp_path.iterdir()] == ["step-1"]
    assert store.latest().step == 1


def test_an_aside_that_was_never_renamed_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / ".step-9.aside").mkdir()
    assert Store(tmp_path).latest() is None


def test_another_model_is_refused(tmp_path: Path) -> None:
    Store(tmp_path).save(1, {}, small_model().variables)
    with pytest.raises(UserError, match="another version"):
        checkpoints.restore(Store(tmp_path).latest(), small_model(units=4).variables)


@pytest.mark.training
@pytest.mark.parametrize(
    ("first", "second"),
    [("mixed_float16", "mixed_float16"), ("mixed_float16", "float32"), ("float32", "mixed_float16")],
)
def test_a_run_goes_on_under_another_dtype(tmp_path: Path, first: str, second: str) -> None:
    """In float16 the scale of the loss comes back too; no other dtype has one."""
    keras.config.set_dtype_policy(first)
    model = small_model()
    train(model, 5)
    save = SaveCheckpoints(Store(tmp_path), 5, [], dict, StopRequest(), None, check=lambda: None)
    save.set_model(model)
    save.on_epoch_end(0)
    keras.config.set_dtype_policy(second)
    again = small_model()
    train(again, 1)
    fresh = [float(v.numpy()) for v in checkpoints.loss_scale_of(again)]
    resume = Resume(Store(tmp_path).latest())
    resume.set_model(again)
    resume.on_epoch_begin(0)
    model.reset_metrics()
    for before, after in zip(values(model), values(again), strict=True):
        np.testing.assert_array_equal(before, after)
    scale = [float(v.numpy()) for v in checkpoints.loss_scale_of(again)]
    if first != second:
        assert scale == fresh
        return
    assert scale == [float(v.numpy()) for v in checkpoints.loss_scale_of(model)] != fresh
    train(model, 3)
    train(again, 3)
    for before, after in zip(values(model), values(again), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_checkpoint_from_before_the_loss_scale_was_kept() -> None:
    assert Checkpoint(1, {"rows": [], "spent": None}, []).loss_scale == []


def test_metrics_of_each_replica_come_back_and_sum_up_on_fewer(tmp_path: Path) -> None:
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice()).scope():
        metric = keras.metrics.Sum()
        metric.update_state([1.0])
    parts = checkpoints._parts(metric.variables[0])
    assert len(parts) == 2
    for part, value in zip(parts, (3.0, 0.1), strict=True):
        part.assign(value)
    Store(tmp_path).save(1, {}, metric.variables)
    for part in parts:
        part.assign(9.0)
    saved = Store(tmp_path).latest()
    checkpoints.restore(saved, metric.variables)
    assert [float(part) for part in parts] == [3.0, pytest.approx(0.1)]
    alone = keras.metrics.Sum()
    checkpoints.restore(saved, alone.variables)
    assert float(alone.result()) == pytest.approx(3.1)
