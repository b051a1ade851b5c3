"""Optimizers by name: Keras' own, with what `updating` adds to all of them."""

from collections.abc import Callable, Sequence

import keras

from kerascnn.compat import keras as compat
from kerascnn.config import Optim
from kerascnn.config.defaults import WEIGHT_DECAY
from kerascnn.errors import UserError
from kerascnn.training.muon import Muon
from kerascnn.training.schedules import Schedule, peak
from kerascnn.training.updating import Updating

BIASES = ("bias", "beta")  # their names in Keras
ADAM_RATIO = 0.05  # under muon: learning rate of AdamW's variables relative to that of kernels


@keras.saving.register_keras_serializable(package="kerascnn")
class SGD(Updating, compat.SGDOfMomentum):
    """Keras' SGD."""


@keras.saving.register_keras_serializable(package="kerascnn")
class AdamW(Updating, keras.optimizers.AdamW):
    """Keras' AdamW (Loshchilov and Hutter, 2019)."""

    CYCLED = "beta_1"


@keras.saving.register_keras_serializable(package="kerascnn")
class LAMB(Updating, keras.optimizers.Lamb):
    """Keras' LAMB (You et al., 2020). Decay is decoupled: it is not part of the ratio of norms."""

    CYCLED = "beta_1"


@keras.saving.register_keras_serializable(package="kerascnn")
class Lion(Updating, keras.optimizers.Lion):
    """Keras' Lion (Chen et al., 2023)."""

    CYCLED = "beta_1"


@keras.saving.register_keras_serializable(package="kerascnn")
class RMSprop(Updating, keras.optimizers.RMSprop):
    """Keras' RMSprop, in TensorFlow's form: epsilon inside the root, the rate inside the momentum (Szegedy et al., 2016)."""

    CYCLED = None


@keras.saving.register_keras_serializable(package="kerascnn")
class RMSpropTorch(Updating, compat.RMSpropOutside):
    """RMSprop in PyTorch's form: epsilon outside the root, the rate outside the momentum."""

    CYCLED = None


@keras.saving.register_keras_serializable(package="kerascnn")
class Adafactor(Updating, keras.optimizers.Adafactor):
    """Keras' Adafactor (Shazeer and Stern, 2018): the rate is relative to the size of a variable."""

    CYCLED = None


def _adaptive(kind: type[Updating], section: Optim, **common) -> Updating:
    return kind(**common, **({} if section.epsilon is None else {"epsilon": section.epsilon}))


def _sgd(section: Optim, **common) -> Updating:
    return SGD(momentum=section.momentum, nesterov=section.momentum > 0, **common)


def _adamw(section: Optim, **common) -> Updating:
    return _adaptive(AdamW, section, **common)


def _muon(section: Optim, **common) -> Updating:
    return Muon(momentum=section.momentum, nesterov=section.momentum > 0, adam_lr_ratio=ADAM_RATIO, **common)


def _lamb(section: Optim, **common) -> Updating:
    return _adaptive(LAMB, section, **common)


def _lion(section: Optim, **common) -> Updating:
    return Lion(**common)


def _rmsprop(section: Optim, **common) -> Updating:
    return _adaptive(RMSprop, section, rho=section.rms_decay, momentum=section.momentum, **common)


def _rmsprop_torch(section: Optim, **common) -> Updating:
    return _adaptive(RMSpropTorch, section, rho=section.rms_decay, momentum=section.momentum, **common)


def _adafactor(section: Optim, **common) -> Updating:
    return Adafactor(relative_step=False, **common)


OPTIMIZERS: dict[str, Callable[..., Updating]] = {
    "sgd": _sgd,
    "adamw": _adamw,
    "muon": _muon,
    "lamb": _lamb,
    "lion": _lion,
    "rmsprop": _rmsprop,
    "rmsprop_torch": _rmsprop_torch,
    "adafactor": _adafactor,
}
# Options that only some optimizers or schedules have: field -> their names.
_OF_OPTIMIZER = {
    "epsilon": ("adamw", "lamb", "rmsprop", "rmsprop_torch"),
    "rms_decay": ("rmsprop", "rmsprop_torch"),
}
_OF_SCHEDULE = {
    "step_factor": ("step",),
    "restart_epochs": ("restarts",),
    "restart_factor": ("restarts",),
    "restart_decay": ("restarts",),
    "poly_power": ("polynomial",),
    "decay_rate": ("exponential",),
    "decay_epochs": ("exponential",),
    "decay_staircase": ("exponential",),
    "cycle_peak": ("one_cycle",),
    "cycle_momentum": ("one_cycle",),
    "plateau_patience": ("plateau",),
    "plateau_factor": ("plateau",),
}


def check(section: Optim, *, has_val: bool) -> None:
    """Checks that a resolved section has no option of another optimizer or schedule, before a run begins.

    Args:
        section: The config's optim section, whose optimizer and schedule are resolved.
        has_val: Whether there are val images, on whose score a plateau is found.

    Raises:
        UserError: It has one, or an option without the one that it needs, or a lowest rate above the peak.
    """
    for flag, chosen, table in (
        ("optimizer", section.optimizer, _OF_OPTIMIZER),
        ("schedule", section.schedule, _OF_SCHEDULE),
    ):
        for field, names in table.items():
            given = getattr(section, field) != Optim.model_fields[field].default
            if given and chosen not in names:
                raise UserError(
                    f"--{field.replace('_', '-')} is for --{flag} {' or '.join(names)}, and this run has {chosen}"
                )
    if section.ema_warmup and not section.ema:
        raise UserError("--ema-warmup: there are no averaged weights; give --ema 0.999 or another decay")
    if section.sam_adaptive and not section.sam_rho:
        raise UserError("--sam-adaptive: there is no distance; give --sam-rho 0.5 or another one")
    if section.lr_min > peak(section):
        raise UserError(f"--lr-min {section.lr_min:g}: expected at most the peak rate, which is {peak(section):g}")
    if section.schedule == "plateau" and not has_val:
        raise UserError("--schedule plateau: there is no val whose score could stop rising; give --val-fraction")


def build(
    section: Optim,
    *,
    total_steps: int,
    steps_per_epoch: int,
    trainable: Sequence,
    body: Sequence = (),
    head: Sequence = (),
    accumulate: int = 1,
) -> Updating:
    """Returns the optimizer of `section` with its schedule, without weight decay for normalizations and biases.

    Args:
        section: The config's optim section.
        total_steps: Steps of the whole schedule.
        steps_per_epoch: Steps of one epoch.
        trainable: The variables that it updates. Decay is excluded by variable, since Keras' exclusion by name sees only leaf
            names.
        body: Those of them whose learning rate is multiplied by `backbone_lr_scale`.
        head: Those of them that adaptive clipping leaves alone (Brock et al., 2021, section 4.1).
        accumulate: Batches whose gradients are averaged before an update.
    """
    decay = WEIGHT_DECAY[section.optimizer] if section.weight_decay is None else section.weight_decay
    optimizer = OPTIMIZERS[section.optimizer](
        section,
        learning_rate=Schedule(section, total_steps, steps_per_epoch),
        weight_decay=decay,  # 0, since AdamW refuses None.
        global_clipnorm=section.clip_norm,
        clipvalue=section.clip_value,
        use_ema=section.ema > 0,
        # Keras averages weights after every batch, also while gradients accumulate: an update then counts `accumulate` times.
        ema_momentum=(section.ema or 0.99) ** (1 / accumulate),
        gradient_accumulation_steps=accumulate if accumulate > 1 else None,
    )
    optimizer.adopt(section, free=head)
    if section.backbone_lr_scale < 1:
        optimizer.scale(body, section.backbone_lr_scale)
    if section.bias_lr_scale != 1:
        optimizer.scale([v for v in trainable if v.name in BIASES], section.bias_lr_scale)
    if decay:
        optimizer.exclude_from_weight_decay(var_list=[v for v in trainable if len(v.shape) < 2])
    return optimizer
