"""The recipes of publications against the numbers of their sources, and that each can be read and says what it must."""

from pathlib import Path
from typing import NamedTuple

import pytest

from kerascnn.architectures.tables import ARCHS
from kerascnn.cli.parsing import parse_config
from kerascnn.config import Config, augment_notation

FOLDER = Path(__file__).resolve().parents[2] / "kerascnn" / "recipes"
RECIPES = sorted(path.stem for path in FOLDER.glob("*.toml"))


class Source(NamedTuple):
    """The numbers of a publication.

    Attributes:
        lr: For a batch of `batch` images.
        decay: As the source gives it. With a momentum it is an L2 penalty: lr * w is added to the gradient, and momentum
            multiplies it by 1 / (1 - momentum).
        more: Further fields by their names.
    """

    arch: str
    size: int | None
    epochs: int
    batch: int
    lr: float
    warmup: float
    decay: float
    momentum: float
    smoothing: float
    augment: str
    more: dict[str, object]


# fmt: off
SOURCES = {
    "he2015_cifar": Source(
        "resnet20", None, 182, 128, 0.1, 0, 0.0001, 0.9, 0, "shift flip",
        {"optim.step_epochs": (0.5, 0.75)},
    ),
    "he2015_imagenet": Source(
        "resnet50", 224, 120, 256, 0.1, 0, 0.0001, 0.9, 0, "resized_crop flip",
        {"optim.schedule": "plateau"},
    ),
    "wrn2016": Source(
        "wrn16_4", None, 200, 128, 0.1, 0, 0.0005, 0.9, 0, "shift flip",
        {"optim.step_factor": 0.2},
    ),
    "rsb_a1": Source(
        "resnet50", 224, 600, 2048, 0.005, 5, 0.01, 0, 0.1, "resized_crop flip rand-m7-mstd0.5-inc1-n2 mixup cutmix",
        {"augment.mixup": 0.2, "augment.cutmix": 1.0, "fit.repeats": 3, "model.drop_path": 0.05, "optim.loss": "bce"},
    ),
    "rsb_a2": Source(
        "resnet50", 224, 300, 2048, 0.005, 5, 0.02, 0, 0, "resized_crop flip rand-m7-mstd0.5-inc1-n2 mixup cutmix",
        {"augment.mixup": 0.1, "augment.cutmix": 1.0, "fit.repeats": 3, "model.drop_path": 0.05, "optim.loss": "bce"},
    ),
    "rsb_a3": Source(
        "resnet50", 160, 100, 2048, 0.008, 5, 0.02, 0, 0, "resized_crop flip rand-m6-mstd0.5-inc1-n2 mixup cutmix",
        {"augment.mixup": 0.1, "augment.cutmix": 1.0, "fit.repeats": 1, "model.drop_path": 0.0, "optim.loss": "bce"},
    ),
    "bag_of_tricks": Source(
        "resnet50d", 224, 200, 1024, 0.4, 5, 0.0001, 0.9, 0.1, "resized_crop flip color mixup",
        {"augment.mixup": 0.2, "augment.color": 0.4, "model.zero_init_residual": True},
    ),
    "torchvision2021": Source(
        "resnet50", 176, 600, 1024, 0.5, 5, 2e-05, 0.9, 0.1, "resized_crop flip ta_wide erase-const-p0.1 mixup cutmix",
        {"augment.mixup": 0.2, "augment.cutmix": 1.0, "fit.repeats": 4, "optim.ema": 0.99998},
    ),
    "inception2014": Source(
        "googlenet", 224, 60, 32, 0.01, 0, 0.0002, 0.9, 0, "resized_crop flip color",
        {"optim.decay_rate": 0.96, "optim.decay_epochs": 8.0, "augment.crop_area": (0.08, 1.0)},
    ),
    "inception2016": Source(
        "inception_v3", 299, 100, 32, 0.045, 0, 4e-05, 0.9, 0.1, "resized_crop flip color",
        {"optim.decay_rate": 0.94, "optim.decay_epochs": 2.0, "optim.epsilon": 1.0, "optim.clip_norm": 2.0},
    ),
    "resnet_rs": Source(
        "resnetrs50", 160, 350, 4096, 1.6, 5, 4e-05, 0.9, 0.1, "resized_crop flip ra-m10-n2",
        {"model.dropout": 0.25, "optim.ema": 0.9999},
    ),
}
# fmt: on
# As inception2016, with the decay of RMSprop's squares in place of clipping.
SOURCES["inception_v4"] = SOURCES["inception2016"]._replace(
    arch="inception_v4",
    more={"optim.decay_rate": 0.94, "optim.decay_epochs": 2.0, "optim.epsilon": 1.0, "optim.rms_decay": 0.9},
)


def recipe(name: str) -> Config:
    return parse_config(["--config", name], prog="kerascnn fit", description="", schema=Config)


@pytest.mark.parametrize("name", SOURCES)
def test_a_recipe_has_the_numbers_of_its_source(name):
    config = recipe(name)
    source = SOURCES[name]
    assert (config.model.arch, config.data.image_size) == (source.arch, source.size)
    assert (config.fit.epochs, config.fit.batch_size) == (source.epochs, source.batch)
    assert config.optim.lr is not None
    per_batch = config.optim.lr * config.fit.batch_size / (config.optim.lr_base_batch or config.fit.batch_size)
    assert per_batch == pytest.approx(source.lr)
    assert config.optim.warmup == source.warmup
    assert config.optim.weight_decay == pytest.approx(source.decay / (1 - source.momentum))
    assert config.optim.label_smoothing == source.smoothing
    assert " ".join(config.augment.augment) == source.augment
    assert not source.momentum or config.optim.momentum == source.momentum
    for field, value in source.more.items():
        section, key = field.split(".")
        assert getattr(getattr(config, section), key) == value, field


def test_robust_has_the_numbers_of_augmix():
    """Those of google-research/augmix: width 3, depth 1 to 3 (written as 0), severity 3 (cifar.py), 12 times the divergence."""
    section = recipe("robust").augment
    written = augment_notation.parse(section.augment[-1])
    assert (written["w"], written["d"], written["m"], section.augmix_jsd) == (3, 0, 3, 12)


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
