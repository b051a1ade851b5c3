"""Defaults of optimizer, schedule, learning rate and weight decay. No TensorFlow."""

import math
from typing import Any

from kerascnn.config import AnyConfig, Config

LEARNING_RATE = {
    "sgd": 0.1,
    "adamw": 0.001,
    "muon": 0.1,
    "lamb": 0.002,
    "lion": 0.0002,  # a fifth of AdamW's, with five times its decay (Chen et al., 2023, section 5)
    "rmsprop": 0.001,
    "rmsprop_torch": 0.001,
    "adafactor": 0.01,  # relative to the root mean square of a variable (Shazeer and Stern, 2018)
}
WEIGHT_DECAY = {
    "sgd": 0.005,
    "adamw": 0.05,
    "muon": 0.05,
    "lamb": 0.05,
    "lion": 0.25,
    "rmsprop": 0.05,
    "rmsprop_torch": 0.05,
    "adafactor": 0.005,
}
SMALL = 64  # pixels; the largest image that `auto` treats as small, as in `architectures.tables`
# (image size in pixels, batch size at which the default rate of sgd is 0.1): small images follow He et al. (2016, section
# 4.2) with half the batch, photos follow Goyal et al. (2017).
_SMALL, _LARGE = (32, 64), (224, 256)


def with_optimizer(config: AnyConfig, image_size: int) -> AnyConfig:
    """Returns `config` with an optimizer and a schedule in place of `auto`.

    Training from scratch on images up to 64 px uses Muon and one linear cycle, which need half the epochs of SGD and a cosine
    (experiments/results/first_command.md). Fine-tuning and larger images use SGD and the cosine.
    """
    optimizer = chosen_optimizer(config, image_size)
    schedule = config.optim.schedule
    if schedule == "auto":
        schedule = "linear" if optimizer == "muon" else "cosine"
    return config.replace(optim={"optimizer": optimizer, "schedule": schedule})


def chosen_optimizer(config: Config, image_size: int) -> str:
    """Returns the name of the optimizer that `config` selects; see `with_optimizer`."""
    if config.optim.optimizer != "auto":
        return config.optim.optimizer
    return "muon" if config.model.weights is None and image_size <= SMALL else "sgd"


def sgd_batch(image_size: int) -> int:
    """Returns the batch size at which the default rate of sgd is 0.1.

    It is 64 up to 32 px, 256 from 224 px, and follows a power of the image size between: the rate per image falls with the
    size, without a jump, because networks for larger images are deeper.
    """
    share = math.log(image_size / _SMALL[0]) / math.log(_LARGE[0] / _SMALL[0])
    return round(_SMALL[1] * (_LARGE[1] / _SMALL[1]) ** min(max(share, 0.0), 1.0))


def scaled_lr(rate: float, batch_size: int, base_batch: int | None) -> float:
    """Returns a learning rate for `base_batch` images per update in proportion to the batch (Goyal et al., 2017).

    Args:
        rate: The rate at `base_batch` images.
        batch_size: Images per update: the global batch size times the number of accumulated batches.
        base_batch: Images per update for which the rate is given; None: for any number.
    """
    return rate if base_batch is None else rate * batch_size / base_batch


def default_lr(optimizer: str, batch_size: int, image_size: int, base_batch: int | None = None) -> float:
    """Returns the default peak learning rate: proportional to the batch for sgd, a constant for other optimizers.

    Args:
        optimizer: A name of `LEARNING_RATE`.
        batch_size: As in `scaled_lr`.
        image_size: Side of the images in pixels.
        base_batch: Images per update for which it is the optimizer's own rate (`--lr-base-batch`); None: the default.
    """
    if base_batch is None and optimizer == "sgd":
        base_batch = sgd_batch(image_size)
    return scaled_lr(LEARNING_RATE[optimizer], batch_size, base_batch)


def with_lr(config: AnyConfig, image_size: int) -> AnyConfig:
    """Returns `config` with its default learning rate filled in where that is not the optimizer's own.

    The rate then belongs to the run's identity, as does one that `--lr-base-batch` scales. Images up to 64 px keep None where
    the rate of sgd is its own, so that such runs keep their names.
    """
    section, fit = config.optim, config.fit
    batch, base = fit.batch_size * fit.accumulate, section.lr_base_batch
    if base is not None:  # from here on the rate is a number, so that it is not scaled twice
        lr = scaled_lr(section.lr or LEARNING_RATE[section.optimizer], batch, base)
        return config.replace(optim={"lr": lr, "lr_base_batch": None})
    if section.lr is not None or section.optimizer == "adamw":
        return config
    lr = default_lr(section.optimizer, batch, image_size)
    own = section.optimizer == "sgd" and image_size <= SMALL and lr == LEARNING_RATE["sgd"]
    return config if own else config.replace(optim={"lr": lr})


def with_former_lr(config: Config) -> Config:
    """Returns the config of a run of an earlier version, whose sgd took 0.1 for every batch size, with that rate filled in."""
    size = config.data.image_size
    if size is None or config.optim.optimizer != "sgd" or with_lr(config, size) == config:
        return config
    return config.replace(optim={"lr": LEARNING_RATE["sgd"]})


def used(config: Config, image_size: int) -> dict[str, Any]:
    """Returns the learning rate, weight decay and image size that a training of `config` uses, given or default."""
    section, fit, optimizer = config.optim, config.fit, chosen_optimizer(config, image_size)
    batch, base = fit.batch_size * fit.accumulate, section.lr_base_batch
    lr = scaled_lr(section.lr, batch, base) if section.lr else default_lr(optimizer, batch, image_size, base)
    decay = WEIGHT_DECAY[optimizer] if section.weight_decay is None else section.weight_decay
    return {"lr": lr, "weight_decay": decay, "image_size": image_size}
