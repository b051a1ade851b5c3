"""The notation of augmentations: NAME-VARIANT-KEYNUMBER..., such as `rand-m9-mstd0.5-inc1-n2` (timm's) or `erase-pixel-p0.25`.

The first part names a row of NOTATIONS; its variants and keys, in any order, replace their defaults. No TensorFlow.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from kerascnn.config.section import nearest

UNIFORM = 100.0  # an mstd above this: magnitudes are uniform from 0 to m, as in timm
PROBABILITY = (0.0, 1.0)
_TIMM = ("v0", "v0r", "original", "originalr")
_PART = re.compile(r"([a-z]+)(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Key:
    """A number of a notation.

    Attributes:
        default: Its value where it is not given.
        low: Smallest value.
        high: Largest value.
        text: What it is.
        whole: Whether it is a whole number.
    """

    default: float
    low: float
    high: float
    text: str
    whole: bool = False


@dataclass(frozen=True)
class Notation:
    """What can follow a name.

    Attributes:
        text: What the augmentation does, with its source.
        keys: Its numbers.
        variants: Words that choose among forms; the first is the default.
    """

    text: str
    keys: Mapping[str, Key] = field(default_factory=dict)
    variants: tuple[str, ...] = ()


@dataclass(frozen=True)
class Written:
    """A value of --augment as it was written: a name, a variant and all numbers of its notation.

    Attributes:
        name: A name of NOTATIONS.
        variant: One of the notation's variants, or empty if it has none.
        numbers: Value of each key.
    """

    name: str
    variant: str
    numbers: Mapping[str, float]

    def __getitem__(self, key: str) -> float:
        return self.numbers[key]

    def whole(self, key: str) -> int:
        """Returns the value of a whole number."""
        return int(self.numbers[key])


def _share(default: float) -> Key:
    return Key(default, *PROBABILITY, "probability")


def _deviation(default: float) -> Key:
    return Key(default, 0.0, 1000.0, "standard deviation of the magnitude; above 100: uniform from 0 to m")


NOTATIONS: dict[str, Notation] = {
    "rand": Notation(
        "RandAugment as timm has it (Cubuk et al., 2020)",
        {
            "m": Key(10, 0, 100, "magnitude", whole=True),
            "n": Key(2, 1, 8, "operations per image", whole=True),
            "p": Key(0.5, *PROBABILITY, "probability of each operation"),
            "mstd": _deviation(0.0),
            "mmax": Key(10, 1, 100, "largest magnitude", whole=True),
            "inc": Key(0, 0, 1, "1: every operation is stronger at a larger magnitude", whole=True),
        },
        ("tall", "tweights", "t3a", "t3aw"),
    ),
    "ra": Notation(
        "RandAugment as torchvision has it",
        {
            "m": Key(9, 0, 30, "magnitude of 30", whole=True),
            "n": Key(2, 1, 8, "operations per image", whole=True),
        },
    ),
    "aa": Notation(
        "AutoAugment: torchvision's policies, or timm's from v0 on (Cubuk et al., 2019)",
        {"mstd": _deviation(0.0)},
        ("imagenet", "cifar10", "svhn", "v0", "v0r", "original", "originalr"),
    ),
    "augmix": Notation(
        "AugMix as timm has it (Hendrycks et al., 2020)",
        {
            "m": Key(3, 0, 10, "magnitude", whole=True),
            "w": Key(3, 1, 8, "chains", whole=True),
            "d": Key(0, 0, 3, "operations of a chain; 0: one to three", whole=True),
            "mstd": _deviation(1000.0),
        },
    ),
    "ta_wide": Notation("TrivialAugment, wide, as torchvision has it (Mueller and Hutter, 2021)"),
    "3a": Notation("3-Augment: gray, solarize or blur, a third each (Touvron et al., 2022)"),
    "rotate": Notation("turns about the center", {"m": Key(15, 0, 180, "most degrees"), "p": _share(1.0)}),
    "perspective": Notation(
        "moves the corners", {"m": Key(0.5, 0, 1, "most, as a share of half a side"), "p": _share(0.5)}
    ),
    "blur": Notation(
        "Gaussian blur",
        {"low": Key(0.1, 0, 2, "smallest deviation in pixels"), "high": Key(2.0, 0, 2, "largest"), "p": _share(0.5)},
    ),
    "posterize": Notation("fewer levels", {"b": Key(4, 0, 8, "bits that stay", whole=True), "p": _share(0.5)}),
    "solarize": Notation("inverts bright levels", {"t": Key(128, 0, 256, "first level"), "p": _share(0.5)}),
    "equalize": Notation("flattens the histograms", {"p": _share(0.5)}),
    "autocontrast": Notation("stretches the levels", {"p": _share(0.5)}),
    "invert": Notation("the negative", {"p": _share(0.5)}),
    "erase": Notation(
        "random erasing (Zhong et al., 2020); const: the mean color, rand: one random color, pixel: noise",
        {
            "p": _share(0.25),
            "low": Key(0.02, 0.0, 1.0, "smallest share of the area"),
            "high": Key(0.3333, 0.0, 1.0, "largest share of the area"),
        },
        ("const", "rand", "pixel"),
    ),
}


def head(word: str) -> str:
    """Returns the name that a value of --augment begins with."""
    return word.split("-", 1)[0]


def parse(word: str) -> Written:
    """Reads a value of --augment whose name is one of NOTATIONS.

    Raises:
        ValueError: An unknown part, a key twice, or a number out of its bounds.
    """
    name, *parts = word.split("-")
    notation = NOTATIONS[name]
    variant, numbers = "", {key: one.default for key, one in notation.keys.items()}
    seen: set[str] = set()
    for part in parts:
        found = _PART.fullmatch(part)
        key = "variant" if part in notation.variants else found[1] if found else ""
        if key in seen:
            raise ValueError(f"{word}: {part!r} gives {key} a second time")
        seen.add(key)
        if part in notation.variants:
            variant = part
        elif found and key in notation.keys:
            numbers[key] = _number(word, key, found[2], notation.keys[key])
        else:
            raise ValueError(f"{word}: {part!r} is no part of {name}, which takes {_taken(notation)}")
    if name == "aa" and "mstd" in seen and variant not in _TIMM:
        raise ValueError(f"{word}: mstd belongs to timm's policies: {', '.join(_TIMM)}")
    if numbers.get("low", 0.0) > numbers.get("high", 1.0):
        raise ValueError(f"{word}: low ({numbers['low']:g}) must not exceed high ({numbers['high']:g})")
    return Written(name, variant or (notation.variants[0] if notation.variants else ""), numbers)


def _number(word: str, key: str, text: str, one: Key) -> float:
    value = float(text)
    kind = "a whole number" if one.whole else "a number"
    if not one.low <= value <= one.high or (one.whole and value != int(value)):
        raise ValueError(f"{word}: expected {kind} from {one.low:g} to {one.high:g} after {key}, got {text}")
    return value


def _taken(notation: Notation) -> str:
    keys = [f"{key}N ({one.text})" for key, one in notation.keys.items()]
    return ", ".join([*notation.variants, *keys]) or "nothing after it"


def check(word: str, plain: tuple[str, ...]) -> None:
    """Checks one value of --augment; `plain` are the names without a notation.

    Raises:
        ValueError: The name is unknown, or its notation is wrong.
    """
    if word in plain:
        return
    name = head(word)
    if name in NOTATIONS:
        parse(word)
        return
    if name in plain:
        raise ValueError(f"{word}: {name} takes nothing after its name; its strength is an option of its own")
    known = (*plain, *NOTATIONS)
    raise ValueError(f"{word!r} is none of {', '.join(known)}{nearest(name, known)}")
