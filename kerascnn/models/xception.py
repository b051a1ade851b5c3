"""Networks of separable convolutions: stem, residual stages, two convolutions, classifier."""

import keras

from kerascnn import layers
from kerascnn.architectures.rows import Xception
from kerascnn.architectures.steps import chosen_stem
from kerascnn.models.graph import (
    Options,
    check_options,
    check_size,
    classify,
    drop_rates,
    named,
    norm_of,
    pixels,
    stem,
)


def build(arch: Xception, name: str, input_shape, num_classes: int, options: Options) -> keras.Model:
    """The network of a row whose counts are concrete (`filters.resolve`)."""
    check_options(name, options, drops=True, begins_as_identity=True)
    steps = chosen_stem(arch, input_shape, options.stem)
    blocks = [block for stage in arch.stages for block in stage]
    check_size(input_shape, (*steps, *((filters[-1], 3, strides) for filters, strides, _ in blocks)))
    images, x = pixels(arch, input_shape)
    x = stem(x, steps, **norm_of(arch))
    rates = drop_rates(options.drop_path, sum(residual for _, _, residual in blocks))
    for stage, chain in enumerate(arch.stages, 1):
        for block, (filters, strides, residual) in enumerate(chain, 1):
            name_of = f"stage{stage}_block{block}"
            if residual:
                ends = {"drop_path": next(rates), "zero_gamma": options.zero_init_residual, "pooling": arch.pooling}
                x = layers.XceptionBlock(filters, strides, **ends, **norm_of(arch), name=name_of)(x)
            else:
                x = _tail(x, filters, arch, name_of)
        x = named(x, f"stage{stage}")
    return keras.Model(images, classify(x, arch, num_classes, options), name=name)


def _tail(x, filters: tuple[int, ...], arch: Xception, name: str):
    """Separable convolutions without a shortcut, each with its ReLU behind it."""
    for i, count in enumerate(filters, 1):
        x = layers.SeparableConvBN(count, **norm_of(arch), name=f"{name}_{i}")(x)
    return x
