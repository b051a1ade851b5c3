"""The graph of a network: preprocessing, the steps of its description as layers, the classifier."""

from collections.abc import Iterator
from typing import NamedTuple

import keras
from keras import layers

from kerascnn.architectures.networks import Network, Steps, minimum, network
from kerascnn.architectures.rows import Arch, ArticleInception, ResNet, ResNet9
from kerascnn.architectures.steps import Block, Trace
from kerascnn.architectures.tables import PIXELS
from kerascnn.errors import UserError
from kerascnn.layers import DropBlock, Preprocess
from kerascnn.layers.described import Style, layer_of


class Options(NamedTuple):
    """Choices of `models.build` that do not change the shape of a weight."""

    zero_init_residual: bool = False
    drop_path: float = 0.0
    dropout: float | None = None
    drop_block: float = 0.0
    drop_block_size: int = 7


DROPPING = 2  # last stages with drop block (Ghiasi et al., 2018, section 4.1)


def build(row: Arch, name: str, input_shape: tuple[int | None, int | None, int], num_classes: int, options: Options):
    """Returns the network of a row with all choices made (`networks.concrete`)."""
    found = network(row, num_classes)
    _check_options(row, name, found, options)
    _check_size(input_shape, found.body)
    images = keras.Input(input_shape, name="images", dtype="float32")
    mean, std, reverse = PIXELS[row.pixels]
    x = Preprocess(mean, std, reverse=reverse, name="preprocess")(images)
    rates = drop_rates(options.drop_path, sum(block.drops for block in found.blocks))
    norm = {"momentum": row.momentum, "epsilon": row.epsilon}

    def through(steps: Steps, x):
        for step in steps:
            drop_path = next(rates) if isinstance(step, Block) and step.drops else 0.0
            x = layer_of(step, Style(norm, drop_path, options.zero_init_residual))(x)
        return x

    x = _called("stem", through(found.stem, x))
    for stage, steps in enumerate(found.stages, 1):
        x = through(steps, x)
        if options.drop_block and stage > len(found.stages) - DROPPING:
            x = DropBlock(options.drop_block, options.drop_block_size, name=f"stage{stage}_drop_block")(x)
        x = _called(f"stage{stage}", x)
    return keras.Model(images, _classify(through(found.end, x), row, num_classes, options), name=name)


def drop_rates(last: float, blocks: int) -> Iterator[float]:
    """Returns rates of `DropPath`, from 0 in the first block linearly to `last` in the last one (Huang et al., 2016)."""
    return (last * i / max(1, blocks - 1) for i in range(blocks))


def _called(name: str, x):
    """Returns `x` as the output of a layer called `name`, for taps, freezing and Grad-CAM."""
    return layers.Identity(name=name)(x)


# The classifier, in float32 under any policy: small tensors whose rounding affects the loss


def _classify(x, row: Arch, num_classes: int, options: Options):
    """Adds `pool`, dropout and `logits`."""
    rate = row.dropout if options.dropout is None else options.dropout

    def drop_out(x):
        return layers.Dropout(rate, dtype="float32", name="dropout")(x) if rate else x

    if isinstance(row, ArticleInception):  # its `pool` is the last stage's pooling: scores of a map are averaged
        x = drop_out(x)  # made first: layers draw their seeds in the order in which they are made
        x = layers.Conv2D(num_classes, 1, kernel_initializer="he_normal", dtype="float32", name="scores")(x)
        return layers.GlobalAveragePooling2D(dtype="float32", name="logits")(x)
    if isinstance(row, ResNet9):  # maxima instead of means, small logits without a bias
        x = layers.GlobalMaxPooling2D(dtype="float32", name="pool")(x)
        x = layers.Rescaling(row.logit_scale, dtype="float32", name="scale")(drop_out(x))
        return layers.Dense(num_classes, use_bias=False, dtype="float32", name="logits")(x)
    x = layers.GlobalAveragePooling2D(dtype="float32", name="pool")(x)
    return layers.Dense(num_classes, dtype="float32", name="logits")(drop_out(x))


# What a network does not have


def _check_options(row: Arch, name: str, found: Network, options: Options) -> None:
    """Raises UserError for an option of residual networks that the network `name` does not have."""
    if isinstance(row, ResNet) and row.shortcut == "none" and (options.zero_init_residual or options.drop_path):
        raise UserError("--shortcut none: without shortcuts --zero-init-residual and --drop-path would cut the network")
    if options.zero_init_residual and not any(block.begins_as_identity for block in found.blocks):
        raise UserError(f"--zero-init-residual: {name} has no residual branch that ends in a normalization")
    if options.drop_path and not any(block.drops for block in found.blocks):
        raise UserError(f"--drop-path: {name} has no residual branches to drop")


def _check_size(input_shape: tuple[int | None, int | None, int], body: Steps) -> None:
    """Raises UserError if a step would leave no pixel of the image."""
    if all(side is None or Trace(side).through(body).side for side in input_shape[:2]):
        return
    smallest = minimum(body)
    raise UserError(
        f"images of {input_shape[0]} x {input_shape[1]} px are too small for this network: it needs at least "
        f"{smallest} px (--image-size {smallest}, or --stem small)"
    )
