"""Published networks by name. Importing this module loads no TensorFlow; building a network does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from kerascnn.architectures import filters, networks, own
from kerascnn.architectures.rows import HEADS, Inception
from kerascnn.architectures.shape import PUBLISHED, Shape
from kerascnn.architectures.tables import ARCHS, FAMILIES, resolve
from kerascnn.errors import UserError

if TYPE_CHECKING:
    import keras

__all__ = [
    "ARCHS",
    "FAMILIES",
    "HEADS",
    "AuxiliaryOutput",
    "Shape",
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
    shape: Shape = PUBLISHED,
    *,
    zero_init_residual: bool = False,
    drop_path: float = 0.0,
    dropout: float | None = None,
    drop_block: float = 0.0,
    drop_block_size: int = 7,
    **choices: Any,
) -> keras.Model:
    """Returns the network `arch`: raw pixels from 0 to 255 in (integers or floats), float32 logits out, preprocessing inside.

    Its graph has layers called `preprocess`, `stem`, `stage1`, ... (the output of each stage), `pool` (the features) and
    `logits`; blocks are called `stage2_block3`. Weights are fresh: He normal, as in He et al. 2015.

    Args:
        arch: A name in ARCHS, a family (`resolve`), `keras:NAME` or `FILE.py:FUNCTION` (`architectures.own`).
        input_shape: Height, width and 3; height and width may be None, but for functions.
        num_classes: Number of logits, at least 1.
        shape: Differences from the published network.
        zero_init_residual: Whether residual blocks begin as identities.
        drop_path: Rate at which the last residual branch is dropped; earlier ones less, the first never.
        dropout: Dropout rate before the logits; None for the paper's.
        drop_block: Share of the pixels that are dropped in squares after each of the last two stages (not in functions).
        drop_block_size: Side of these squares in pixels of the stage.
        **choices: Fields of `Shape` by name, instead of `shape`'s: width, filters, stem, shortcut, ...

    Raises UserError for a name, size or option that the arch does not have.
    """
    from kerascnn.models import graph

    if len(input_shape) != 3 or input_shape[2] != 3:
        raise UserError(f"expected an input shape (height, width, 3), got {tuple(input_shape)}")
    if num_classes < 1:
        raise UserError(f"expected at least one class, got {num_classes}")
    arch = resolve(arch, max(side or 224 for side in input_shape[:2]))
    if function := own.parse(arch):
        return _built_by(function, input_shape, num_classes, replace(shape, **choices), drop_path, dropout)
    row = networks.concrete(arch, replace(shape, **choices), input_shape[:2])
    options = graph.Options(zero_init_residual, drop_path, dropout, drop_block, drop_block_size)
    return graph.build(row, arch, input_shape, num_classes, options)


def _built_by(
    function: own.OwnArch,
    input_shape: tuple[int | None, int | None, int],
    num_classes: int,
    shape: Shape,
    drop_path: float,
    dropout: float | None,
) -> keras.Model:
    """Returns the network of a function, which takes few of the options."""
    from kerascnn.models import functions

    given = {"width": shape.width, "drop_path": drop_path, "dropout": dropout}
    given = {name: value for name, value in given.items() if value != own.OPTIONS[name]}
    return functions.build(function, input_shape, num_classes, given)


class AuxiliaryOutput(NamedTuple):
    """Logits of a head inside a network, and their weight in the training loss."""

    logits: keras.KerasTensor
    weight: float


def auxiliary_heads(
    arch: str, network: keras.Model, num_classes: int, shape: Shape = PUBLISHED, **choices: Any
) -> dict[str, AuxiliaryOutput]:
    """Returns fresh auxiliary heads of `arch` on `network`, which `build` made with the same arguments; none if it has none.

    For a model that is only trained: `keras.Model(network.inputs, [network.output, *(head.logits for head in ...)])`. The
    heads' weights belong to that model; `network` stays the single-output network that is scored, saved and exported.

    Returns:
        By name (`aux1`, ...) the head's float32 logits as a symbolic tensor of `network`'s graph, and its loss weight.

    Raises UserError where the network's height or width is None: a head's hidden layer needs them.
    """
    if own.parse(arch):
        return {}
    row, _ = filters.resolve(resolve(arch, 224), replace(shape, **choices))
    if not isinstance(row, Inception) or not row.auxiliary:
        return {}
    from kerascnn.models import auxiliary

    if None in network.input_shape[1:3]:
        raise UserError(f"auxiliary heads need images of one size, got an input of {network.input_shape[1:3]}")
    heads = auxiliary.heads(row, num_classes)
    return {
        name: AuxiliaryOutput(head(network.get_layer(spec.tap).output), spec.weight)
        for (name, head), spec in zip(heads.items(), row.auxiliary, strict=True)
    }


def float32_twin(model: keras.Model) -> keras.Model:
    """Returns a float32 copy of `model` on one device, with the same weights; see `kerascnn.models.precision`."""
    from kerascnn.models import precision

    return precision.float32_twin(model)


def head(model: keras.Model) -> keras.layers.Layer:
    """Returns the layer whose weights compute the logits: `logits`, the layer that it averages (HEADS), or the last one."""
    named = (layer for name in HEADS for layer in model.layers if layer.name == name and layer.weights)
    return next(named, None) or next(layer for layer in reversed(model.layers) if layer.weights)
