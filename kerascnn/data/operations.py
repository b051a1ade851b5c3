"""Operations on one image by number, so that a graph computes only those that were drawn."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kerascnn.data import moves, tones
from kerascnn.data.moves import BICUBIC, BILINEAR, Fill

MEAN_COLOR: Fill = (124, 116, 104)  # of ImageNet, as in timm
BLACK: Fill = (0, 0, 0)

# name -> function of image, argument, interpolation and fill. All images are uint8 [height, width, 3].
Operation = Callable[[tf.Tensor, tf.Tensor, tf.Tensor, Fill], tf.Tensor]


def _plain(function: Callable) -> Operation:
    return lambda image, argument, interpolation, fill: function(image)


def _by(function: Callable) -> Operation:
    return lambda image, argument, interpolation, fill: function(image, argument)


OPERATIONS: dict[str, Operation] = {
    "identity": _plain(tf.identity),
    "autocontrast": _plain(tones.autocontrast),
    "equalize": _plain(tones.equalize),
    "invert": _plain(tones.invert),
    "posterize": _by(tones.posterize),
    "solarize": _by(tones.solarize),
    "solarize_add": _by(tones.solarize_add),
    "color": _by(tones.color),
    "contrast": _by(tones.contrast),
    "brightness": _by(tones.brightness),
    "sharpness": _by(tones.sharpness),
    "blur": _by(tones.blur),
    "rotate": moves.rotate,
    "shear_x": moves.shear_x,
    "shear_y": moves.shear_y,
    "translate_x": moves.translate_x,
    "translate_y": moves.translate_y,
}
NUMBERS = {name: number for number, name in enumerate(OPERATIONS)}
NAMES = tuple(OPERATIONS)


class Steps(NamedTuple):
    """Operations that were drawn for a batch, in their order; [batch, steps] each.

    Attributes:
        operation: Numbers of OPERATIONS, int32; 0 does nothing.
        argument: Of the operation, float32.
        interpolation: Of operations that move pixels, int32.
    """

    operation: tf.Tensor
    argument: tf.Tensor
    interpolation: tf.Tensor

    def told(self) -> list[str]:
        """Returns what was drawn for each image, such as `rotate 12, color 1.3`; eager only."""
        return [
            ", ".join(_said(int(one), float(argument)) for one, argument in zip(*row, strict=True) if one) or "nothing"
            for row in zip(self.operation.numpy(), self.argument.numpy(), strict=True)
        ]


_WITHOUT = ("identity", "autocontrast", "equalize", "invert")


def _said(number: int, argument: float) -> str:
    name = NAMES[number].replace("_", " ")
    if NAMES[number] in _WITHOUT:
        return name
    return f"{name} {argument:.0f}" if abs(argument) >= 10 else f"{name} {argument:.2g}"


@functools.lru_cache(maxsize=32)
def _one(shape: tuple[int, ...], fill: Fill, names: tuple[str, ...]):
    """Returns the traced function that applies one of some operations, or nothing, to one image."""
    # Branches that cannot be taken would be most of the tracing.
    functions = [OPERATIONS[name] for name in ("identity", *names)]
    numbers = np.zeros(len(OPERATIONS), np.int32)
    numbers[[NUMBERS[name] for name in names]] = np.arange(1, len(names) + 1)

    @tf.autograph.experimental.do_not_convert
    def apply(image, operation, argument, interpolation):
        def branch(function: Operation):
            return lambda: tf.ensure_shape(function(image, argument, interpolation, fill), shape)

        return tf.switch_case(tf.constant(numbers)[operation], [branch(function) for function in functions])

    kinds = (tf.TensorSpec(shape, tf.uint8), tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.float32))
    return tf.function(apply, input_signature=[*kinds, tf.TensorSpec([], tf.int32)], autograph=False)


def chain(image: tf.Tensor, steps: Steps, fill: Fill, names: tuple[str, ...]) -> tf.Tensor:
    """Applies the steps of one image, [steps] each, in their order; `names` are the operations that there may be."""
    one, count = _one(tuple(image.shape), fill, names), steps.operation.shape[0]
    if count == 1:
        return one(image, *(column[0] for column in steps))

    def step(number, image):
        return number + 1, one(image, *(column[number] for column in steps))

    # A loop has one copy of all branches: unrolled, two steps took twice as long to trace.
    return tf.while_loop(lambda number, _: number < count, step, (0, image))[1]


def apply(images: tf.Tensor, steps: Steps, fill: Fill, names: tuple[str, ...] = NAMES[1:]) -> tf.Tensor:
    """Applies its steps to each of uint8 images [batch, height, width, 3]."""
    return each(lambda image, *columns: chain(image, Steps(*columns), fill, names), images, *steps)


def each(function: Callable, images: tf.Tensor, *columns: tf.Tensor) -> tf.Tensor:
    """Maps images and what belongs to each of them by a function to uint8 images of the same shape."""
    signature = tf.TensorSpec(images.shape[1:], tf.uint8)
    return tf.map_fn(lambda row: function(*row), (images, *columns), fn_output_signature=signature)


def random_interpolation(u: tf.Tensor) -> tf.Tensor:
    """Returns bilinear or bicubic, int32, each in half of uniform numbers."""
    return tf.where(u < 0.5, BILINEAR, BICUBIC)
