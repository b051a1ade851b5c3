"""How strong an operation is: the argument of each by its magnitude, in timm's scale and in torchvision's two.

A magnitude is a share: of 10 levels in timm, of the last bin in torchvision; timm's may exceed 1 (`mmax`). The names are
timm's, which are those of AutoAugment's policies (Cubuk et al., 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import tensorflow as tf

TRANSLATE, TRANSLATE_AUGMIX = 0.45, 0.3  # largest shares of the side in timm
PAPER = 150.0 / 331.0  # of AutoAugment's images of 331 px


class Strength(NamedTuple):
    """An operation at a magnitude.

    Attributes:
        operation: A name of OPERATIONS.
        argument: From the magnitude and a uniform number, float32 [...] each, and the image's side to the operation's argument.
    """

    operation: str
    argument: Callable[[tf.Tensor, tf.Tensor, int], tf.Tensor]


Strengths = Mapping[str, Strength]


def _sign(v: tf.Tensor) -> tf.Tensor:
    return tf.where(v > 0.5, -1.0, 1.0)


def _nothing(x: tf.Tensor, v: tf.Tensor, side: int) -> tf.Tensor:
    return tf.zeros_like(x)


def _both_ways(most: float):
    """From -most to most."""
    return lambda x, v, side: most * x * _sign(v)


def _of_the_side(most: float):
    return lambda x, v, side: most * side * x * _sign(v)


def _whole_pixels(most: float | None):
    """At most `most` pixels, or AutoAugment's share of the side; cut to whole pixels as torchvision does."""
    return lambda x, v, side: tf.floor((PAPER * side if most is None else most) * x) * _sign(v)


def _around_one(most: float, least: float = 0.0):
    return lambda x, v, side: tf.maximum(1.0 + most * x * _sign(v), least)


def _bits(first: int, step: float):
    """`first` bits, and `step` times the magnitude in whole bits more."""
    return lambda x, v, side: tf.clip_by_value(first + _sign_of(step) * tf.floor(abs(step) * x), 0.0, 8.0)


def _sign_of(step: float) -> float:
    return 1.0 if step > 0 else -1.0


def _bits_rounded(fewer: float):
    return lambda x, v, side: 8.0 - tf.round(fewer * x)


def _solarize(x: tf.Tensor, v: tf.Tensor, side: int) -> tf.Tensor:
    return tf.minimum(tf.floor(256.0 * x), 256.0)


def _blur(x: tf.Tensor, v: tf.Tensor, side: int) -> tf.Tensor:
    return tf.clip_by_value(0.1 + 1.9 * x, 0.1, 2.0)


def _blur_drawn(x: tf.Tensor, v: tf.Tensor, side: int) -> tf.Tensor:
    return 0.1 + v * (2.0 * tf.clip_by_value(x, 0.0, 1.0) - 0.1)


def _desaturate(x: tf.Tensor, v: tf.Tensor, side: int) -> tf.Tensor:
    return 1.0 - tf.clip_by_value(0.5 + 0.5 * x, 0.5, 1.0)


def _timm(translate: float) -> dict[str, Strength]:
    enhanced = ("Color", "Contrast", "Brightness", "Sharpness")
    return {
        **{name: Strength(name.lower(), _nothing) for name in ("AutoContrast", "Equalize", "Invert")},
        "Rotate": Strength("rotate", _both_ways(30.0)),
        "Posterize": Strength("posterize", _bits(0, 4.0)),
        "PosterizeIncreasing": Strength("posterize", _bits(4, -4.0)),
        "PosterizeOriginal": Strength("posterize", _bits(4, 4.0)),
        "Solarize": Strength("solarize", _solarize),
        "SolarizeIncreasing": Strength("solarize", lambda x, v, side: 256.0 - _solarize(x, v, side)),
        "SolarizeAdd": Strength("solarize_add", lambda x, v, side: tf.minimum(tf.floor(110.0 * x), 128.0)),
        **{name: Strength(name.lower(), lambda x, v, side: 1.8 * x + 0.1) for name in enhanced},
        **{f"{name}Increasing": Strength(name.lower(), _around_one(0.9, 0.1)) for name in enhanced},
        "ShearX": Strength("shear_x", _both_ways(0.3)),
        "ShearY": Strength("shear_y", _both_ways(0.3)),
        "TranslateXRel": Strength("translate_x", _of_the_side(translate)),
        "TranslateYRel": Strength("translate_y", _of_the_side(translate)),
        "Desaturate": Strength("color", _desaturate),
        "GaussianBlur": Strength("blur", _blur),
        "GaussianBlurRand": Strength("blur", _blur_drawn),
    }


def _torchvision(shear: float, translate: float | None, degrees: float, enhance: float, bits: float):
    return {
        "Identity": Strength("identity", _nothing),
        "ShearX": Strength("shear_x", _both_ways(shear)),
        "ShearY": Strength("shear_y", _both_ways(shear)),
        "TranslateX": Strength("translate_x", _whole_pixels(translate)),
        "TranslateY": Strength("translate_y", _whole_pixels(translate)),
        "Rotate": Strength("rotate", _both_ways(degrees)),
        **{
            name: Strength(name.lower(), _around_one(enhance))
            for name in ("Brightness", "Color", "Contrast", "Sharpness")
        },
        "Posterize": Strength("posterize", _bits_rounded(bits)),
        "Solarize": Strength("solarize", lambda x, v, side: 255.0 - 255.0 * x),
        **{name: Strength(name.lower(), _nothing) for name in ("AutoContrast", "Equalize", "Invert")},
    }


TIMM, AUGMIX = _timm(TRANSLATE), _timm(TRANSLATE_AUGMIX)
TORCHVISION = _torchvision(0.3, None, 30.0, 0.9, 4.0)
WIDE = _torchvision(0.99, 32.0, 135.0, 0.99, 6.0)
