"""Optimizer, schedule, learning rate and weight decay of a config that gives none. No TensorFlow."""

import math
from typing import Any

from kerascnn.config import Config

LEARNING_RATE = {"sgd": 0.1, "adamw": 0.001, "muon": 0.1}
WEIGHT_DECAY = {"sgd": 0.005, "adamw": 0.05, "muon": 0.05}
SMALL = 64  # pixels: what auto takes for a small image, here as in `architectures.tables`
# (image size in pixels, batch for which sgd's rate is 0.1): small images as in He et al. (2016, section 4.2) with half its
# batch, whole photos as in Goyal et al. (2017).
_SMALL, _LARGE = (32, 64), (224, 256)


def with_optimizer(config: Config, image_size: int) -> Config:
    """`config` with an optimizer and a schedule in place of `auto`.

    Up to 64 px a network that learns from scratch takes Muon and one linear cycle, which need half the epochs of SGD and a
    cosine there (experiments/results/first_command.md); what fine-tunes, and larger images, keep SGD and the cosine.
    """
    optimizer = chosen_optimizer(config, image_size)
    schedule = config.optim.schedule
    if schedule == "auto":
        schedule = "linear" if optimizer == "muon" else "cosine"
    return config.replace(optim={"optimizer": optimizer, "schedule": schedule})


def chosen_optimizer(config: Config, image_size: int) -> str:
    """The name of the optimizer that `config` means; see `with_optimizer`."""
    if config.optim.optimizer != "auto":
        return config.optim.optimizer
    return "muon" if config.model.weights is None and image_size <= SMALL else "sgd"


def sgd_batch(image_size: int) -> int:
    """The batch for which sgd's default rate is 0.1: 64 up to 32 px, 256 from 224 px, a power of the size between.

    Networks for larger images are deeper, and their batches smaller: the rate of one image falls with the size, without a
    jump.
    """
    share = math.log(image_size / _SMALL[0]) / math.log(_LARGE[0] / _SMALL[0])
    return round(_SMALL[1] * (_LARGE[1] / _SMALL[1]) ** min(max(share, 0.0), 1.0))


def default_lr(optimizer: str, batch_size: int, image_size: int) -> float:
    """The peak learning rate: in proportion to the batch under sgd, the optimizer's own under the others.

    Args:
        optimizer: A name of `LEARNING_RATE`.
        batch_size: Images of one update: the global batch, times the batches that are accumulated.
        image_size: Pixels of a side.
    """
    rate = LEARNING_RATE[optimizer]
    return rate * batch_size / sgd_batch(image_size) if optimizer == "sgd" else rate


def with_lr(config: Config, image_size: int) -> Config:
    """`config` with its default rate where that is not the optimizer's own, so that it belongs to the run's identity.

    Sizes up to 64 px keep None where sgd's rate is its own: such runs have always been named so.
    """
    section, fit = config.optim, config.fit
    if section.lr is not None or section.optimizer == "adamw":
        return config
    lr = default_lr(section.optimizer, fit.batch_size * fit.accumulate, image_size)
    own = section.optimizer == "sgd" and image_size <= SMALL and lr == LEARNING_RATE["sgd"]
    return config if own else config.replace(optim={"lr": lr})


def with_former_lr(config: Config) -> Config:
    """The config of a run that began when sgd's default was 0.1 for every batch up to 64 px, with the rate that it used."""
    size = config.data.image_size
    if size is None or config.optim.optimizer != "sgd" or with_lr(config, size) == config:
        return config
    return config.replace(optim={"lr": LEARNING_RATE["sgd"]})


def resolved(config: Config, image_size: int) -> dict[str, Any]:
    """The learning rate, weight decay and image size that a training of `config` uses, whether given or default."""
    section, fit, optimizer = config.optim, config.fit, chosen_optimizer(config, image_size)
    lr = section.lr or default_lr(optimizer, fit.batch_size * fit.accumulate, image_size)
    decay = WEIGHT_DECAY[optimizer] if section.weight_decay is None else section.weight_decay
    return {"lr": lr, "weight_decay": decay, "image_size": image_size}
