"""Optimizers and learning-rate schedules by name."""

import functools
import math
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf
from keras import ops

from kerascnn.compat import keras as compat
from kerascnn.config import Optim
from kerascnn.config.defaults import LEARNING_RATE, WEIGHT_DECAY

BIASES = ("bias", "beta")  # their names in Keras
ADAM_RATIO = 0.05  # under muon: learning rate of AdamW's variables relative to that of kernels


def peak(section: Optim) -> float:
    """Returns the learning rate after warm-up."""
    return section.lr or LEARNING_RATE[section.optimizer]


def _cosine(progress, section: Optim):
    """Falls from 1 to 0 along half a cosine (Loshchilov and Hutter, 2017)."""
    return 0.5 * (1 + ops.cos(math.pi * progress))


def _linear(progress, section: Optim):
    """Falls linearly from 1 to 0, which is one cycle with the warm-up (Smith and Topin, 2018)."""
    return 1 - progress


def _step(progress, section: Optim):
    """Falls to a tenth after each of `step_epochs` (He et al., 2016, section 4.2)."""
    drops = sum(ops.cast(progress >= share, "float32") for share in section.step_epochs)
    return 0.1**drops


def _constant(progress, section: Optim):
    return ops.ones_like(progress)


SCHEDULES: dict[str, Callable] = {"cosine": _cosine, "linear": _linear, "step": _step, "constant": _constant}


@keras.saving.register_keras_serializable(package="kerascnn")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up to the peak, then a decay: a pure function of the step, so that resuming needs no state.

    Args:
        section: The config's optim section.
        total_steps: Steps of the whole schedule.
        steps_per_epoch: Steps of an epoch; warm-up takes at most half of all steps.
    """

    def __init__(self, section: Optim, total_steps: int, steps_per_epoch: int) -> None:
        self.section = section
        self.total_steps = total_steps
        self.steps_per_epoch = steps_per_epoch
        self.peak = peak(section)
        self.warmup_steps = min(round(section.warmup * steps_per_epoch), total_steps // 2)

    def __call__(self, step):
        step = ops.cast(step, "float32")
        warm = ops.minimum((step + 1) / max(self.warmup_steps, 1), 1.0)
        rest = max(self.total_steps - self.warmup_steps, 1)
        # Counted from the end of warm-up to the midpoint of a step: no step has a rate of 0, and none is lost at the peak.
        after = ops.clip((step - self.warmup_steps + 0.5) / rest, 0.0, 1.0)
        whole = ops.clip((step + 0.5) / self.total_steps, 0.0, 1.0)
        progress = whole if self.section.schedule == "step" else after
        return self.peak * warm * SCHEDULES[self.section.schedule](progress, self.section)

    def get_config(self) -> dict:
        return {
            "section": self.section.model_dump(),
            "total_steps": self.total_steps,
            "steps_per_epoch": self.steps_per_epoch,
        }

    @classmethod
    def from_config(cls, config: dict) -> "Schedule":
        return cls(**{**config, "section": Optim(**config["section"])})


class _Scaled(compat.DecayInStep):
    """Part of an optimizer: updates some variables at a multiple of the learning rate, weight decay included.

    Keras has one learning rate for all variables. Scaling gradients is not equivalent: Adam divides by their size.
    """

    def scale(self, variables: Sequence, factor: float) -> None:
        """Multiplies the learning rate of `variables` by `factor`, in addition to earlier calls."""
        more = {self.key(variable): factor * self._factor(variable) for variable in variables}
        self._factors = {**getattr(self, "_factors", {}), **more}

    def _factor(self, variable) -> float:
        return getattr(self, "_factors", {}).get(self.key(variable), 1.0)

    def update_step(self, gradient, variable, learning_rate):
        rate = learning_rate * self._factor(variable)
        if self.weight_decay and self.decays(variable):
            dtype = variable.dtype
            self.assign_sub(variable, variable * ops.cast(self.weight_decay * rate, dtype))
        super().update_step(gradient, variable, rate)


@keras.saving.register_keras_serializable(package="kerascnn")
class SGD(_Scaled, keras.optimizers.SGD):
    """Keras' SGD, with learning rates that may differ by variable."""


@keras.saving.register_keras_serializable(package="kerascnn")
class AdamW(_Scaled, keras.optimizers.AdamW):
    """Keras' AdamW, with learning rates that may differ by variable."""


@functools.cache
def _jordan(a: float, b: float, c: float, steps: int, dtype: str) -> Callable:
    """Maps a Gram matrix [n, n] to the product of the iteration's polynomials in it, [n, n].

    One function serves all kernels: tracing it for each would double the time until the first step.
    """

    def product_of(gram):
        unit = product = tf.eye(tf.shape(gram)[0], dtype=dtype)
        for _ in range(steps):
            factor = a * unit + b * gram + c * tf.matmul(gram, gram)
            product = tf.matmul(product, factor)
            gram = tf.matmul(tf.matmul(gram, factor), factor)
        return product

    return tf.function(product_of, input_signature=[tf.TensorSpec([None, None], dtype)], autograph=False)


@keras.saving.register_keras_serializable(package="kerascnn")
class Muon(_Scaled, compat.MuonOfChoice):
    """Updates kernels of convolutions by orthogonal matrices near their mean gradient, the rest by AdamW (Jordan et al., 2024).

    Keras' Muon leaves kernels with four axes to AdamW. Here such a kernel is a matrix of (height * width * inputs) x outputs.
    A step moves it by about the learning rate in every direction of its smaller side, whatever the size of the gradient.
    """

    def by_adamw(self, variable):
        return (
            len(variable.shape) != 4 or 1 in variable.shape[2:]
        )  # A depthwise kernel is not a matrix: it mixes no channels.

    def zeropower_via_newtonschulz5(self, x, steps):
        """Applies the polynomials of Jordan's iteration in x's smaller Gram matrix to x, once at the end.

        Each is a polynomial in x^T x times x, so that the products with x itself, which are expensive for long kernels, are
        two in total instead of two per step. Not on a GPU: a Gram matrix squares the ratio of singular values, which
        TensorFloat-32 does not resolve.
        """
        matrix = ops.reshape(x, (-1, x.shape[-1]))
        if tf.config.list_physical_devices("GPU"):
            return ops.reshape(super().zeropower_via_newtonschulz5(matrix, steps), x.shape)
        matrix = matrix / (ops.norm(matrix) + 1e-7)
        tall = matrix.shape[0] >= matrix.shape[1]
        gram = ops.matmul(ops.transpose(matrix), matrix) if tall else ops.matmul(matrix, ops.transpose(matrix))
        product = _jordan(self.muon_a, self.muon_b, self.muon_c, steps, x.dtype)(gram)
        return ops.reshape(ops.matmul(matrix, product) if tall else ops.matmul(product, matrix), x.shape)

    def lr_adjust(self, x):
        return x * max(1.0, x.shape[-1] / math.prod(x.shape[:-1])) ** 0.5


def _sgd(section: Optim, **common) -> keras.optimizers.Optimizer:
    return SGD(momentum=section.momentum, nesterov=section.momentum > 0, **common)


def _adamw(section: Optim, **common) -> keras.optimizers.Optimizer:
    return AdamW(**common)


def _muon(section: Optim, **common) -> keras.optimizers.Optimizer:
    return Muon(momentum=section.momentum, nesterov=section.momentum > 0, adam_lr_ratio=ADAM_RATIO, **common)


OPTIMIZERS: dict[str, Callable[..., keras.optimizers.Optimizer]] = {"sgd": _sgd, "adamw": _adamw, "muon": _muon}


def build(
    section: Optim,
    *,
    total_steps: int,
    steps_per_epoch: int,
    trainable: Sequence,
    body: Sequence = (),
    accumulate: int = 1,
) -> keras.optimizers.Optimizer:
    """Returns the optimizer of `section` with its schedule, without weight decay for normalizations and biases.

    Args:
        section: The config's optim section.
        total_steps: Steps of the whole schedule.
        steps_per_epoch: Steps of one epoch.
        trainable: The variables that it updates. Decay is excluded by variable, since Keras' exclusion by name sees only leaf
            names.
        body: Those of them whose learning rate is multiplied by `backbone_lr_scale`.
        accumulate: Batches whose gradients are averaged before an update.
    """
    decay = WEIGHT_DECAY[section.optimizer] if section.weight_decay is None else section.weight_decay
    optimizer = OPTIMIZERS[section.optimizer](
        section,
        learning_rate=Schedule(section, total_steps, steps_per_epoch),
        weight_decay=decay,  # 0, since AdamW refuses None.
        global_clipnorm=section.clip_norm,
        use_ema=section.ema > 0,
        # Keras averages weights after every batch, also while gradients accumulate: an update then counts `accumulate` times.
        ema_momentum=(section.ema or 0.99) ** (1 / accumulate),
        gradient_accumulation_steps=accumulate if accumulate > 1 else None,
    )
    if section.backbone_lr_scale < 1:
        optimizer.scale(body, section.backbone_lr_scale)
    if section.bias_lr_scale != 1:
        optimizer.scale([v for v in trainable if v.name in BIASES], section.bias_lr_scale)
    if decay:
        optimizer.exclude_from_weight_decay(var_list=[v for v in trainable if len(v.shape) < 2])
    return optimizer
