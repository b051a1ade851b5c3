"""The recipes of publications against the numbers of their sources, and that each can be read and says what it must."""

from pathlib import Path

import pytest

from kerascnn.architectures.tables import ARCHS
from kerascnn.cli.parsing import parse_config
from kerascnn.config import Config

FOLDER = Path(__file__).resolve().parents[2] / "kerascnn" / "recipes"
RECIPES = sorted(path.stem for path in FOLDER.glob("*.toml"))
# name -> arch, size, epochs, batch, lr for that batch, warm-up, decay as the source gives it, smoothing, augmentations, and more.
# A decay with a momentum is an L2 penalty: lr * w is added to the gradient, and momentum multiplies it by 1 / (1 - momentum).
SOURCES = {
    "he2015_cifar": (
        "resnet20",
        None,
        182,
        128,
        0.1,
        0,
        (1e-4, 0.9),
        0,
        "shift flip",
        {"optim.step_epochs": (0.5, 0.75)},
    ),
    "he2015_imagenet": (
        "resnet50",
        224,
        120,
        256,
        0.1,
        0,
        (1e-4, 0.9),
        0,
        "resized_crop flip",
        {"optim.schedule": "plateau"},
    ),
    "wrn2016": ("wrn16_4", None, 200, 128, 0.1, 0, (5e-4, 0.9), 0, "shift flip", {"optim.step_factor": 0.2}),
    "rsb_a1": (
        "resnet50",
        224,
        600,
        2048,
        5e-3,
        5,
        (0.01, 0),
        0.1,
        "resized_crop flip rand-m7-mstd0.5-inc1-n2 mixup cutmix",
        {"augment.mixup": 0.2, "augment.cutmix": 1.0, "fit.repeats": 3, "model.drop_path": 0.05, "optim.loss": "bce"},
    ),
    "rsb_a2": (
        "resnet50",
        224,
        300,
        2048,
        5e-3,
        5,
        (0.02, 0),
        0,
        "resized_crop flip rand-m7-mstd0.5-inc1-n2 mixup cutmix",
        {"augment.mixup": 0.1, "augment.cutmix": 1.0, "fit.repeats": 3, "model.drop_path": 0.05, "optim.loss": "bce"},
    ),
    "rsb_a3": (
        "resnet50",
        160,
        100,
        2048,
        8e-3,
        5,
        (0.02, 0),
        0,
        "resized_crop flip rand-m6-mstd0.5-inc1-n2 mixup cutmix",
        {"augment.mixup": 0.1, "augment.cutmix": 1.0, "fit.repeats": 1, "model.drop_path": 0.0, "optim.loss": "bce"},
    ),
    "bag_of_tricks": (
        "resnet50d",
        224,
        200,
        1024,
        0.4,
        5,
        (1e-4, 0.9),
        0.1,
        "resized_crop flip color mixup",
        {"augment.mixup": 0.2, "augment.color": 0.4, "model.zero_init_residual": True},
    ),
    "torchvision2021": (
        "resnet50",
        176,
        600,
        1024,
        0.5,
        5,
        (2e-5, 0.9),
        0.1,
        "resized_crop flip ta_wide erase-const-p0.1 mixup cutmix",
        {"augment.mixup": 0.2, "augment.cutmix": 1.0, "fit.repeats": 4, "optim.ema": 0.99998},
    ),
    "inception2014": (
        "googlenet",
        224,
        60,
        32,
        0.01,
        0,
        (2e-4, 0.9),
        0,
        "resized_crop flip color",
        {"optim.decay_rate": 0.96, "optim.decay_epochs": 8.0, "augment.crop_area": (0.08, 1.0)},
    ),
    "inception2016": (
        "inception_v3",
        299,
        100,
        32,
        0.045,
        0,
        (4e-5, 0.9),
        0.1,
        "resized_crop flip color",
        {"optim.decay_rate": 0.94, "optim.decay_epochs": 2.0, "optim.epsilon": 1.0, "optim.clip_norm": 2.0},
    ),
    "inception_v4": (
        "inception_v4",
        299,
        100,
        32,
        0.045,
        0,
        (4e-5, 0.9),
        0.1,
        "resized_crop flip color",
        {"optim.decay_rate": 0.94, "optim.decay_epochs": 2.0, "optim.epsilon": 1.0, "optim.rms_decay": 0.9},
    ),
    "resnet_rs": (
        "resnetrs50",
        160,
        350,
        4096,
        1.6,
        5,
        (4e-5, 0.9),
        0.1,
        "resized_crop flip ra-m10-n2",
        {"model.dropout": 0.25, "optim.ema": 0.9999},
    ),
}


def recipe(name: str) -> Config:
    return parse_config(["--config", name], prog="kerascnn fit", description="", schema=Config)


@pytest.mark.parametrize("name", SOURCES)
def test_a_recipe_has_the_numbers_of_its_source(name):
    config = recipe(name)
    arch, size, epochs, batch, lr, warmup, (decay, momentum), smoothing, augment, more = SOURCES[name]
    assert (config.model.arch, config.data.image_size) == (arch, size)
    assert (config.fit.epochs, config.fit.batch_size) == (epochs, batch)
    assert config.optim.lr is not None
    per_batch = config.optim.lr * config.fit.batch_size / (config.optim.lr_base_batch or config.fit.batch_size)
    assert per_batch == pytest.approx(lr)
    assert config.optim.warmup == warmup
    assert config.optim.weight_decay == pytest.approx(decay / (1 - momentum))
    assert config.optim.label_smoothing == smoothing
    assert " ".join(config.augment.augment) == augment
    assert not momentum or config.optim.momentum == momentum
    for field, value in more.items():
        section, key = field.split(".")
        assert getattr(getattr(config, section), key) == value, field


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_how_it_is_run(name):
    assert recipe(name).model.arch in (*ARCHS, "resnet", "inception")
    text = (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    head = "".join(line for line in text.splitlines(True) if line.startswith("#"))
    assert f"--config {name}" in head
    if name in SOURCES:
        assert "Differs: " in head
        assert "Not run here" in head


@pytest.mark.slow
@pytest.mark.training
@pytest.mark.parametrize("name", SOURCES)
def test_a_recipe_trains(name, tmp_path):
    """An epoch of a few small images by everything that the recipe turns on."""
    from kerascnn.__main__ import main

    words = ["--config", name, "--dataset", "fashion_mnist_mini", "--fraction", "0.02", "--val-fraction", "0.1"]
    words += ["--epochs", "1", "--warmup", "0", "--batch-size", "8", "--image-size", "80", "--width", "0.125"]
    assert main(["fit", *words, "--no-export", "--runs-dir", str(tmp_path)]) == 0
