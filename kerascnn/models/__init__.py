"""Published networks by name. Importing this module loads no TensorFlow; building a network does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from kerascnn.architectures import branches as _branches
from kerascnn.architectures import filters as _filters
from kerascnn.architectures.rows import (
    HEADS,
    Arch,
    ArticleInception,
    ArticleResNet,
    Inception,
    ResNet,
    ResNet9,
    Xception,
)
from kerascnn.architectures.tables import ARCHS, FAMILIES, resolve
from kerascnn.errors import UserError

if TYPE_CHECKING:
    import keras

__all__ = [
    "ARCHS",
    "FAMILIES",
    "HEADS",
    "AuxiliaryOutput",
    "auxiliary_heads",
    "build",
    "float32_twin",
    "head",
    "resolve",
]


def build(
    arch: str,
    input_shape: tuple[int | None, int | None, int],
    num_classes: int,
    *,
    width: float = 1.0,
    width_divisor: int = 8,
    filters: Mapping[str, int] | None = None,
    blocks: Sequence[int] | None = None,
    bottleneck_ratio: float | None = None,
    stem: str = "auto",
    shortcut: str = "auto",
    branches: Sequence[str] = (),
    zero_init_residual: bool = False,
    drop_path: float = 0.0,
    dropout: float | None = None,
) -> keras.Model:
    """The network `arch`: raw pixels from 0 to 255 in (integers or floats), float32 logits out, preprocessing inside.

    Its graph has layers called `preprocess`, `stem`, `stage1`, ... (each stage's output), `pool` (the features) and
    `logits`; blocks are called `stage2_block3`. Weights are fresh: He normal, as in He et al. 2015.

    Args:
        arch: A name in ARCHS, or a family (`resolve`).
        input_shape: Height, width and 3; height and width may be None.
        num_classes: Number of logits, at least 1.
        width: Scales every filter count; exactly the published ones at 1.
        width_divisor: What scaled counts are multiples of.
        filters: Filter counts by the names that `kerascnn archs NAME --layers` prints; what is not named follows `width`.
        blocks: Blocks per stage of a residual network; None for the published ones.
        bottleneck_ratio: Filters inside a residual block per unit of its stage's width; None for the published one.
        stem: "large" (the paper's), "small" (3x3, stride 1, no pooling) or "auto" (small up to 64 px).
        shortcut: "A" (pads with zeros), "B" (1x1 convolution), "auto" (the arch's own) or "none" (a plain network).
        branches: What modules of Inception networks keep: "1x1", "3x3", ...; empty for all. Reductions stay whole.
        zero_init_residual: Whether residual blocks begin as identities.
        drop_path: Rate at which the last residual branch is dropped; earlier ones less, the first never.
        dropout: Rate in front of the logits; None for the paper's.

    Raises UserError for a name, size or option that the arch does not have.
    """
    from kerascnn.models.graph import Options

    if len(input_shape) != 3 or input_shape[2] != 3:
        raise UserError(f"expected an input shape (height, width, 3), got {tuple(input_shape)}")
    if num_classes < 1:
        raise UserError(f"expected at least one class, got {num_classes}")
    arch = resolve(arch, max(side or 224 for side in input_shape[:2]))
    row, _ = _filters.resolve(
        arch,
        width=width,
        width_divisor=width_divisor,
        filters=filters,
        blocks=blocks,
        bottleneck_ratio=bottleneck_ratio,
    )
    if branches:
        row = _branches.only(row, arch, branches)
    options = Options(stem, shortcut, zero_init_residual, drop_path, dropout)
    return _builder(row)(row, arch, input_shape, num_classes, options)


def _builder(row: Arch) -> Callable[..., keras.Model]:
    """What builds the networks of a row of this kind."""
    from kerascnn.models import article, inception, resnet, xception

    builders: dict[type[Arch], Callable[..., keras.Model]] = {
        ResNet: resnet.build,
        ResNet9: resnet.build_resnet9,
        Inception: inception.build,
        Xception: xception.build,
        ArticleResNet: article.build_resnet,
        ArticleInception: article.build_inception,
    }
    return builders[type(row)]


class AuxiliaryOutput(NamedTuple):
    """Logits of a head inside a network, and what they count in the training loss."""

    logits: keras.KerasTensor
    weight: float


def auxiliary_heads(
    arch: str,
    network: keras.Model,
    num_classes: int,
    *,
    width: float = 1.0,
    width_divisor: int = 8,
    filters: Mapping[str, int] | None = None,
) -> dict[str, AuxiliaryOutput]:
    """Fresh auxiliary heads of `arch` on `network`, which `build` made of the same arguments; empty if it has none.

    For a model that is only trained: `keras.Model(network.inputs, [network.output, *(head.logits for head in ...)])`. The
    heads' weights belong to that model; `network` stays the single-output network that is scored, saved and exported.

    Returns:
        By name (`aux1`, ...) the head's float32 logits as a symbolic tensor of `network`'s graph, and its loss weight.

    Raises UserError where the network's height or width is None: a head's hidden layer needs them.
    """
    row, _ = _filters.resolve(resolve(arch, 224), width=width, width_divisor=width_divisor, filters=filters)
    if not isinstance(row, Inception) or not row.auxiliary:
        return {}
    from kerascnn.models import inception

    if None in network.input_shape[1:3]:
        raise UserError(f"auxiliary heads need images of one size, got an input of {network.input_shape[1:3]}")
    heads = inception.heads(row, num_classes)
    return {
        name: AuxiliaryOutput(head(network.get_layer(spec.tap).output), spec.weight)
        for (name, head), spec in zip(heads.items(), row.auxiliary, strict=True)
    }


def float32_twin(model: keras.Model) -> keras.Model:
    """A float32 copy of `model` on one device, with the same weights; see `kerascnn.models.precision`."""
    from kerascnn.models import precision

    return precision.float32_twin(model)


def head(model: keras.Model) -> keras.layers.Layer:
    """The layer whose weights make the logits: `logits`, or what it averages (HEADS)."""
    return next(layer for name in HEADS for layer in model.layers if layer.name == name and layer.weights)
