"""Networks of Inception modules, and their auxiliary heads."""

import keras

from kerascnn import layers
from kerascnn.architectures.rows import Chain, Inception, Residual
from kerascnn.architectures.steps import chosen_stem
from kerascnn.layers.inception import step_layer
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


def build(arch: Inception, name: str, input_shape, num_classes: int, options: Options) -> keras.Model:
    """The network of a row whose counts are concrete (`filters.resolve`)."""
    residuals = sum(isinstance(step, Residual) for chain in arch.stages for step in chain)
    check_options(name, options, drops=residuals > 0)
    steps = chosen_stem(arch, input_shape, options.stem)
    check_size(input_shape, (*steps, *(step for chain in arch.stages for step in chain if isinstance(step, tuple))))
    images, x = pixels(arch, input_shape)
    norm = {**norm_of(arch), "scale": arch.scale}
    x = stem(x, steps, **norm)
    rates = drop_rates(options.drop_path, residuals)
    for stage, chain in enumerate(arch.stages, 1):
        x = _stage(x, f"stage{stage}", chain, norm, rates)
    return keras.Model(images, classify(x, arch, num_classes, options), name=name)


def _stage(x, stage: str, chain: Chain, norm: dict, rates):
    """The layers `stage1_block1`, ... and `stage1_pool` or `stage1_conv` of a stage, and its output `stage1`."""
    block = 0
    for step in chain:
        if isinstance(step, Residual):
            block += 1
            end = {"activation": "relu" if step.relu else None, "drop_path": next(rates)}
            x = layers.InceptionResidual(step.branches, step.scale, **end, **norm, name=f"{stage}_block{block}")(x)
        elif isinstance(step[0], tuple):
            block += 1
            x = layers.InceptionBlock(step, **norm, name=f"{stage}_block{block}")(x)
        else:
            kind = "conv" if isinstance(step[0], int) else "pool"
            x = step_layer(step, f"{stage}_{kind}", None, **norm)(x)
    return named(x, stage)


def heads(arch: Inception, num_classes: int) -> dict[str, layers.AuxiliaryHead]:
    """The auxiliary heads of a row whose counts are concrete, by name, not built yet."""
    return {
        f"aux{i}": layers.AuxiliaryHead(
            num_classes,
            head.steps,
            head.grid,
            window=head.window,
            hidden=head.hidden,
            dropout=head.dropout,
            scale=arch.scale,
            **norm_of(arch),
            name=f"aux{i}",
        )
        for i, head in enumerate(arch.auxiliary, 1)
    }
