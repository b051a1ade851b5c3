"""Networks of residual blocks: stem, stages, classifier."""

import keras

from kerascnn import layers
from kerascnn.architectures.rows import Chain, ResNet, ResNet9
from kerascnn.architectures.steps import chosen_stem
from kerascnn.errors import UserError
from kerascnn.models.graph import (
    Options,
    check_options,
    check_size,
    classify,
    drop_out,
    drop_rates,
    named,
    norm_of,
    pixels,
    stem,
)


def build(arch: ResNet, name: str, input_shape, num_classes: int, options: Options) -> keras.Model:
    """The network of a row whose counts are concrete (`filters.resolve`)."""
    if options.shortcut == "none":
        _check_plain(arch, name, options)
    steps = chosen_stem(arch, input_shape, options.stem)
    check_size(input_shape, (*steps, *_strides(arch)))
    images, x = pixels(arch, input_shape)
    x = _plain_stem(x, arch, steps) if arch.pre_activation else stem(x, steps, use_bias=arch.use_bias, **norm_of(arch))
    rates = drop_rates(options.drop_path, sum(arch.depths))
    for stage, depth in enumerate(arch.depths):
        for block in range(depth):
            x = _block(arch, stage, block, next(rates), options)(x)
        x = named(x, f"stage{stage + 1}")
    if arch.pre_activation:
        x = layers.BNReLU(**norm_of(arch), name="norm")(x)
    return keras.Model(images, classify(x, arch, num_classes, options), name=name)


def _block(arch: ResNet, stage: int, block: int, drop_path: float, options: Options) -> keras.layers.Layer:
    outside = arch.widths[stage] * arch.expansion
    # The papers halve the image in the first block of all stages but the first; `stride_last` in the last of all but the last.
    place = (stage < len(arch.depths) - 1, arch.depths[stage] - 1) if arch.stride_last else (stage > 0, 0)
    strides = 2 if place == (True, block) else 1
    name = f"stage{stage + 1}_block{block + 1}"
    if options.shortcut == "none":
        return layers.PlainBlock(outside, strides, inner=arch.inner[stage][block], **norm_of(arch), name=name)
    return getattr(layers, arch.block)(
        outside,
        strides,
        inner=arch.inner[stage][block],
        groups=arch.groups,
        shortcut=_shortcut(arch, options),
        stride_first=arch.stride_first,
        use_bias=arch.use_bias,
        squeeze=max(1, outside // arch.squeeze) if arch.squeeze else 0,
        drop_path=drop_path,
        zero_gamma=options.zero_init_residual,
        **norm_of(arch),
        name=name,
    )


def _shortcut(arch: ResNet, options: Options) -> str:
    if options.shortcut in ("auto", arch.shortcut):
        return arch.shortcut
    if options.shortcut not in ("A", "B") or arch.shortcut not in ("A", "B"):
        raise UserError(f"--shortcut: expected auto, A or B (and only {arch.shortcut} here), got {options.shortcut!r}")
    return options.shortcut


def _check_plain(arch: ResNet, name: str, options: Options) -> None:
    """Raises UserError where the network has no plain counterpart, as He et al. 2015 drew it (figure 3 middle)."""
    if arch.block != "BasicBlock" or arch.squeeze:
        raise UserError(f"--shortcut none: {name} is no network of two 3x3 convolutions per block; resnet20 is one")
    if options.zero_init_residual or options.drop_path:
        raise UserError("--shortcut none: without shortcuts --zero-init-residual and --drop-path would cut the network")


def _strides(arch: ResNet) -> Chain:
    """The stages as steps, for the check of the image's size."""
    return tuple((width, 3, 2 if stage else 1) for stage, width in enumerate(arch.widths))


def _plain_stem(x, arch: ResNet, steps: Chain):
    """A stem without normalization: the first block of a pre-activation network begins with one."""
    for i, step in enumerate(steps, 1):
        if isinstance(step[0], int):
            filters, kernel, strides = (*step, 1)[:3]
            options = {"use_bias": arch.use_bias, "kernel_initializer": "he_normal", "name": f"stem_{i}"}
            x = layers.Conv2D(filters, kernel, strides, "symmetric", **options)(x)
        else:
            x = layers.Pool2D(*step, name=f"stem_{i}")(x)
    return named(x, "stem")


def build_resnet9(arch: ResNet9, name: str, input_shape, num_classes: int, options: Options) -> keras.Model:
    """The fast CIFAR network of Page: maxima instead of means at the end, small logits without a bias."""
    check_options(name, options)
    check_size(input_shape, (*arch.stem, *((filters, 2, 2, "valid") for filters, _ in arch.stages)))
    images, x = pixels(arch, input_shape)
    x = stem(x, arch.stem, **norm_of(arch))
    for stage, (filters, residual) in enumerate(arch.stages, 1):
        x = layers.PoolingBlock(filters, residual=residual, **norm_of(arch), name=f"stage{stage}_block1")(x)
        x = named(x, f"stage{stage}")
    x = keras.layers.GlobalMaxPooling2D(dtype="float32", name="pool")(x)
    x = keras.layers.Rescaling(arch.logit_scale, dtype="float32", name="scale")(drop_out(x, arch, options))
    logits = keras.layers.Dense(num_classes, use_bias=False, dtype="float32", name="logits")(x)
    return keras.Model(images, logits, name=name)
