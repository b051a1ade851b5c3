"""What all networks share: preprocessing, stems, the classifier, and names for their layers."""

from collections.abc import Iterator
from typing import NamedTuple

import keras
from keras import layers

from kerascnn.architectures.rows import Arch, Chain
from kerascnn.architectures.steps import minimum
from kerascnn.architectures.tables import PIXELS
from kerascnn.errors import UserError
from kerascnn.layers import Preprocess
from kerascnn.layers.inception import step_layer


class Options(NamedTuple):
    """The choices of `models.build` that change a graph but no filter count."""

    stem: str = "auto"
    shortcut: str = "auto"
    zero_init_residual: bool = False
    drop_path: float = 0.0
    dropout: float | None = None


def pixels(arch: Arch, input_shape: tuple[int | None, int | None, int]):
    """The input and the layer `preprocess` on it."""
    images = keras.Input(input_shape, name="images", dtype="float32")
    mean, std, reverse = PIXELS[arch.pixels]
    return images, Preprocess(mean, std, reverse=reverse, name="preprocess")(images)


def norm_of(arch: Arch) -> dict[str, float]:
    """The settings of all normalizations of `arch`."""
    return {"momentum": arch.momentum, "epsilon": arch.epsilon}


def named(x, name: str):
    """`x`, as the output of a layer called `name`, for taps, freezing and Grad-CAM."""
    return layers.Identity(name=name)(x)


def stem(x, chain: Chain, **norm):
    """The layers `stem_1`, `stem_2`, ... and `stem`, their output."""
    for i, step in enumerate(chain, 1):
        x = step_layer(step, f"stem_{i}", None, **norm)(x)
    return named(x, "stem")


def classify(x, arch: Arch, num_classes: int, options: Options):
    """`pool`, dropout and `logits`, in float32 whatever the policy: small tensors whose rounding shows in the loss."""
    x = layers.GlobalAveragePooling2D(dtype="float32", name="pool")(x)
    return layers.Dense(num_classes, dtype="float32", name="logits")(drop_out(x, arch, options))


def drop_out(x, arch: Arch, options: Options):
    """`x` behind the layer `dropout`, where there is any: the option's rate, or the paper's."""
    rate = arch.dropout if options.dropout is None else options.dropout
    return layers.Dropout(rate, dtype="float32", name="dropout")(x) if rate else x


def check_options(name: str, options: Options, *, drops: bool = False, begins_as_identity: bool = False) -> None:
    """Raises UserError for an option of residual networks that the network called `name` does not have."""
    if options.shortcut != "auto":
        raise UserError(f"--shortcut: {name} has no such choice; expected auto, got {options.shortcut!r}")
    if options.zero_init_residual and not begins_as_identity:
        raise UserError(f"--zero-init-residual: {name} has no residual branch that ends in a normalization")
    if options.drop_path and not drops:
        raise UserError(f"--drop-path: {name} has no residual branches to drop")


def drop_rates(last: float, blocks: int) -> Iterator[float]:
    """Rates of `DropPath`, from 0 in the first block linearly to `last` in the last one (Huang et al., 2016)."""
    return (last * i / max(1, blocks - 1) for i in range(blocks))


def check_size(input_shape: tuple[int | None, int | None, int], chain: Chain) -> None:
    """Raises UserError where the image has no pixel left at the end of the strided and unpadded steps in `chain`."""
    smallest = minimum(chain)
    if any(side is not None and side < smallest for side in input_shape[:2]):
        raise UserError(
            f"images of {input_shape[0]} x {input_shape[1]} px are too small for this network: it needs at least "
            f"{smallest} px (--image-size {smallest}, or --stem small)"
        )
