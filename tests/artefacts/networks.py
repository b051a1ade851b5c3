"""Tiny real networks whose answers depend on the image: fresh ones would nearly ignore it."""

import json
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from kerascnn import models
from kerascnn.cli.recipes import dumps
from kerascnn.config import Config
from kerascnn.runs import Run


def tiny(arch: str = "resnet20", size: int = 32, classes: int = 7, dtype: str = "float32") -> keras.Model:
    """A thin `arch`, of resnet20 one block a stage, with random normalization statistics and decided answers."""
    keras.utils.set_random_seed(0)  # a fixture of a module is made with the seed that an earlier file left
    keras.config.set_dtype_policy(dtype)
    model = models.build(arch, (size, size, 3), classes, width=0.25, blocks=(1, 1, 1) if arch == "resnet20" else None)
    keras.config.set_dtype_policy("float32")
    rng = np.random.default_rng(0)
    for variable in model.variables:
        name = variable.path.rsplit("/", 1)[-1]
        if name in ("moving_mean", "beta", "bias"):
            variable.assign(rng.normal(0, 0.2, variable.shape))
        elif name in ("moving_variance", "gamma"):
            variable.assign(rng.uniform(0.7, 1.3, variable.shape))
    # Centred and scaled over images: otherwise one class wins for all of them, and a difference would not show.
    images = rng.integers(0, 256, (32, 1, 1, 3)) + rng.integers(-60, 60, (32, size, size, 3))
    head = models.head(model)
    head.kernel.assign(head.kernel.value * 2 / np.std(_logits(model, images), axis=0))
    if head.use_bias:
        head.bias.assign(head.bias.value - np.mean(_logits(model, images), axis=0))
    return model


def predicting(folder: Path, names: Sequence[str]) -> Run:
    """As much of a finished run with seven classes as predicting needs, in a new folder."""
    run = Run(folder)
    run.path.mkdir()
    tiny().save(run.best_model)
    run.config_file.write_text(dumps(Config()), encoding="utf-8")
    run.data_file.write_text(json.dumps({"class_names": names, "image_size": 32, "resize": "crop"}), encoding="utf-8")
    return run


def _logits(model: keras.Model, images: np.ndarray) -> np.ndarray:
    return np.asarray(model(np.clip(images, 0, 255).astype("float32"), training=False))
