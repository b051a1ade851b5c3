"""`--tune-each N`: the settings that each arch is tried with. No TensorFlow."""

from __future__ import annotations

import random
from typing import Any

from kerascnn.config import defaults
from kerascnn.config.resolved import ResolvedConfig

GIVEN = "as given"
LR, DECAY = 3.0, 5.0  # largest factor of the learning rate and of the weight decay, up and down
STRENGTHS = ("weaker", "same", "stronger")  # augmentation


def settings(config: ResolvedConfig, count: int) -> list[tuple[str, ResolvedConfig]]:
    """Returns the config as given and `count` - 1 draws around it; every arch gets the same draws.

    The learning rate and the weight decay are multiplied by log-uniform factors, and the augmentation is halved, kept or doubled.

    Args:
        config: The config of one arch.
        count: Number of settings.
    """
    used = defaults.used(config, config.data.image_size)
    found = [(GIVEN, config)]
    draws = random.Random(0)
    for _ in range(count - 1):
        lr = float(f"{used['lr'] * LR ** draws.uniform(-1, 1):.2g}")
        decay = float(f"{used['weight_decay'] * DECAY ** draws.uniform(-1, 1):.2g}")
        strength = draws.choice(STRENGTHS)
        name = f"lr {lr:g}, weight_decay {decay:g}, augment {strength}"
        optim = {"lr": lr, "lr_base_batch": None, "weight_decay": decay}
        found.append((name, config.replace(optim=optim, augment=_augment(config, strength))))
    return found


def _augment(config: ResolvedConfig, strength: str) -> dict[str, Any]:
    """Returns the fields of the augmentation that a strength changes."""
    section = config.augment
    if strength == "same":
        return {}
    least, most = section.crop_area
    if strength == "weaker":
        return {"shift": section.shift / 2, "crop_area": ((least + most) / 2, most)}
    names = section.augment
    alone = any(word in ("auto", "none") or word.startswith("cutout") for word in names)
    more = names if alone else (*names, "cutout")
    return {"shift": min(section.shift * 2, 0.5), "crop_area": (max(least / 2, 0.08), most), "augment": more}
