"""Every optimizer, schedule and average of weights resumes exactly: resumed equals undisturbed, bit for bit."""

import os
import signal
import threading
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from kerascnn.compat import keras as compat
from kerascnn.config import Optim
from kerascnn.data import Splits
from kerascnn.errors import Stopped
from kerascnn.runs.finding import DEMO_FILE
from kerascnn.training import checkpoints, optim
from tests.training.test_loop import scores, splits, train, weights

__all__ = ["splits"]  # a fixture of the module

# Together they hold every optimizer but the three that `test_loop` resumes, every schedule with a state or a momentum, every
# clipping and every average.
SECTIONS = [
    {"optimizer": "lamb", "schedule": "one_cycle", "ema": 0.9, "ema_warmup": True, "lookahead": 3},
    {"optimizer": "rmsprop_torch", "schedule": "exponential", "decay_staircase": True, "clip_agc": 0.05},
    {"optimizer": "adafactor", "schedule": "plateau", "plateau_patience": 1, "clip_norm": 0.5},
    {
        "optimizer": "lion",
        "schedule": "restarts",
        "restart_epochs": 1,
        "cooldown": 1,
        "lr_min": 1e-5,
        "clip_value": 0.1,
    },
    {"optimizer": "rmsprop", "schedule": "polynomial", "lookahead": 2},
    {"optimizer": "sgd", "schedule": "one_cycle", "bias_lr_scale": 4},
    {"optimizer": "adamw", "schedule": "cosine", "sam_rho": 0.1, "ema": 0.9, "layer_decay": 0.7, "clip_norm": 1.0},
]


def names(section: dict) -> str:
    return "-".join(str(value) for value in list(section.values())[:2])


def model_of(section: Optim) -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(5, activation="relu"), keras.layers.BatchNormalization(), keras.layers.Dropout(0.3)]
    model = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(3)])
    trainable = model.trainable_variables
    model.compile(optim.build(section, total_steps=8, steps_per_epoch=4, trainable=trainable, accumulate=2), "mse")
    model.optimizer.build(trainable)
    compat.build_metrics(model, (np.zeros((2, 4), "float32"), np.zeros((2, 3), "float32"), np.ones(2, "float32")))
    return model


def stepped(model: keras.Model, section: Optim, steps: range) -> list[np.ndarray]:
    for step in steps:
        rng = np.random.default_rng(step)
        model.train_on_batch(rng.normal(size=(6, 4)).astype("float32"), rng.normal(size=(6, 3)).astype("float32"))
        if section.schedule == "plateau" and step == 2:
            model.optimizer.schedule.factor.assign(0.1)
    return [variable.numpy() for variable in checkpoints.variables_of(model)]


QUICK = ("lamb", "adafactor")


@pytest.mark.training
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(section, id=names(section), marks=() if section["optimizer"] in QUICK else pytest.mark.slow)
        for section in SECTIONS
    ],
)
def test_a_checkpoint_holds_all_of_an_optimizer(tmp_path: Path, fields: dict) -> None:
    """Saved between two batches of one update, and read into a fresh network."""
    section = Optim(**{"warmup": 0.5, "lr": 0.01, **fields})
    whole = stepped(model_of(section), section, range(7))
    cut, store = model_of(section), checkpoints.Store(tmp_path)
    stepped(cut, section, range(3))
    store.save(3, {}, checkpoints.variables_of(cut))
    saved, resumed = store.latest(), model_of(section)
    assert saved is not None
    checkpoints.restore(saved, checkpoints.variables_of(resumed))
    for one, other in zip(stepped(resumed, section, range(3, 7)), whole, strict=True):
        np.testing.assert_array_equal(one, other)


# What is learned besides the labels, with as much else as goes with it.
MIXED = ("flip", "mixup", "cutmix")
VIEWED = ("resized_crop", "flip", "augmix-m3-w2", "erase-pixel-p0.5")
TEACHER = {"teacher": str(DEMO_FILE), "ema": 0.9, "label_smoothing": 0.1}
GUIDED: dict[str, dict[str, dict]] = {
    "soft": {"optim": TEACHER, "augment": {"augment": MIXED}},
    "hard": {"optim": {**TEACHER, "distill": "hard"}, "augment": {"augment": MIXED}, "fit": {"low_res_epochs": 2}},
    "feature": {"optim": {**TEACHER, "distill": "feature", "sam_rho": 0.1}, "augment": {"augment": MIXED}},
    "at hand": {"optim": TEACHER, "augment": {"augment": ("none",)}, "fit": {"low_res_epochs": 2}},
    "views": {
        "optim": TEACHER,
        "augment": {"augment": VIEWED, "augmix_jsd": 12.0, "crop_interpolation": "random"},
        "fit": {"low_res_epochs": 2},
    },
    "crops": {"augment": {"augment": ("resized_crop", "rand-m9-mstd0.5-inc1"), "crop_interpolation": "random"}},
}


@pytest.mark.slow
@pytest.mark.training
@pytest.mark.parametrize("devices", ["cpu", "cpu:2"])
@pytest.mark.parametrize("fields", SECTIONS, ids=names)
def test_a_stopped_run_ends_as_undisturbed(tmp_path: Path, splits: Splits, fields: dict, devices: str) -> None:
    stopped_ends_as_undisturbed(tmp_path, splits, {"augment": {"augment": MIXED}, "optim": fields}, devices)


@pytest.mark.slow
@pytest.mark.training
@pytest.mark.parametrize("devices", ["cpu", "cpu:2"])
@pytest.mark.parametrize("sections", GUIDED.values(), ids=GUIDED)
def test_a_stopped_guided_run_ends_as_undisturbed(tmp_path: Path, splits: Splits, sections: dict, devices: str) -> None:
    stopped_ends_as_undisturbed(tmp_path, splits, sections, devices)


def stopped_ends_as_undisturbed(tmp_path: Path, splits: Splits, given: dict[str, dict], devices: str) -> None:
    fit = {"accumulate": 2, **given.get("fit", {})}
    model = {"dropout": 0.2, "drop_path": 0.2}
    sections = {**given, "model": model, "devices": {"devices": devices}, "fit": fit}
    calm = train(tmp_path / "calm", splits, **sections)
    place = tmp_path / "cut" / "run" / "checkpoints"

    def interrupt() -> None:
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline and not (place / "step-12").exists():
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    watcher = threading.Thread(target=interrupt)
    watcher.start()
    try:
        with pytest.raises(Stopped):
            train(tmp_path / "cut", splits, **{**sections, "fit": {**fit, "checkpoint_every": 1}})
    finally:
        watcher.join()
        signal.signal(signal.SIGTERM, before)
    cut = train(tmp_path / "cut", splits, **sections)
    assert "resuming after step" in cut.log_file.read_text()
    assert scores(cut) == scores(calm)
    for one, other in zip(weights(cut), weights(calm), strict=True):
        np.testing.assert_array_equal(one, other)
