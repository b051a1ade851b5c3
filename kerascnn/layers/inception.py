"""Inception modules whose branches are rows of numbers; auxiliary heads. All channels-last.

A *step* is one row: a convolution `(filters, kernel, strides, padding)`, a pooling `("max" or "avg", size, strides, padding)`
(strides and padding may be left out: 1 and "symmetric"), or a split: a tuple of branches, whose outputs are concatenated.
A *branch* is a tuple of steps. A kernel is one number or (height, width).

    ((64, 1),), ((96, 1), (128, 3)), (("max", 3), (32, 1))                 three branches of GoogLeNet's first module
    ((384, 1), (((384, (1, 3)),), ((384, (3, 1)),)))                       a branch that splits into 1x3 beside 3x1
"""

from typing import Any

import keras
from keras import layers, ops

from kerascnn.architectures import blocks
from kerascnn.architectures.steps import Block
from kerascnn.layers.chains import build_chain, chain_shape, identity, through
from kerascnn.layers.described import Described, Parts, Style, layer_of

__all__ = ["AuxiliaryHead", "GridPool", "InceptionBlock", "InceptionResidual"]


def frozen(rows):
    """Returns rows as nested tuples, from the lists of a config."""
    return tuple(frozen(row) for row in rows) if isinstance(rows, (list, tuple)) else rows


def thawed(rows):
    """Returns rows as nested lists, as in JSON."""
    return [thawed(row) for row in rows] if isinstance(rows, (list, tuple)) else rows


@keras.saving.register_keras_serializable(package="kerascnn")
class InceptionBlock(Described):
    """Branches side by side, concatenated over channels (Szegedy et al., 2015, figure 2 b; 2016, figures 4 to 7 and 10).

    Args:
        branches: Rows of numbers; see the module's docstring. Every convolution is a `ConvBN`.
        scale: Whether normalizations have a gamma.
        momentum: Momentum of their moving statistics.
        epsilon: Epsilon of the normalizations.

    Input: (batch, height, width, channels); output: (batch, height', width', channels of all branches), the smaller side
    in a reduction. Raises ValueError without branches, and where branches differ in height or width.
    """

    def __init__(self, branches, *, scale=True, momentum=0.9, epsilon=1e-3, **kwargs):
        super().__init__(**kwargs)
        self.branches = frozen(branches)
        if not self.branches or not all(self.branches):
            raise ValueError(f"InceptionBlock needs at least one step in each branch. Received: branches={branches}")
        self.scale, self.momentum, self.epsilon = scale, momentum, epsilon
        self.make(None)

    def describe(self, channels) -> Block:
        return blocks.inception(self.branches, scale=self.scale)

    def keep(self, parts: Parts) -> None:
        self.chains = parts.branches

    def compute_output_shape(self, input_shape):
        shapes = [chain_shape(chain, input_shape) for chain in self.chains]
        return (*shapes[0][:-1], sum(shape[-1] for shape in shapes))

    def get_config(self) -> dict[str, Any]:
        own = {"scale": self.scale, "momentum": self.momentum, "epsilon": self.epsilon}
        return {**super().get_config(), "branches": thawed(self.branches), **own}


@keras.saving.register_keras_serializable(package="kerascnn")
class InceptionResidual(Described):
    """relu(x + residual_scale * conv1x1(branches)) of Inception-ResNet (Szegedy et al., 2017, figures 10, 11, 13 and 20).

    The 1x1 convolution has a bias, no normalization, and as many filters as the input has channels.

    Args:
        branches: As in `InceptionBlock`, with stride 1.
        residual_scale: Factor of the branches, which keeps very wide networks stable.
        activation: Name of the activation after the addition, or None.
        drop_path: Rate of `DropPath` on the branches.
        scale: Whether normalizations have a gamma.
        momentum: Momentum of their moving statistics.
        epsilon: Epsilon of the normalizations.

    Input and output: (batch, height, width, channels).
    """

    def __init__(
        self,
        branches,
        residual_scale=1.0,
        activation="relu",
        *,
        drop_path=0.0,
        scale=True,
        momentum=0.9,
        epsilon=1e-3,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.branches, self.residual_scale, self.drop_path = frozen(branches), residual_scale, drop_path
        self.activation = keras.activations.get(activation)
        self.scale, self.momentum, self.epsilon = scale, momentum, epsilon

    def describe(self, channels) -> Block:
        return blocks.inception_residual(
            channels, self.branches, self.residual_scale, self.activation, scale=self.scale
        )

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "branches": thawed(self.branches),
            "residual_scale": self.residual_scale,
            "activation": keras.activations.serialize(self.activation),
            "drop_path": self.drop_path,
            "scale": self.scale,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
        }


@keras.saving.register_keras_serializable(package="kerascnn")
class GridPool(layers.Layer):
    """Averages an image of any size over a grid of `grid` x `grid` windows.

    Args:
        grid: Cells per side.
        window: Size and step of windows that are used where they give exactly `grid` cells (the paper's 5 and 3), or None.
            Elsewhere cell i reaches from floor(i side / grid) to ceil((i + 1) side / grid), as torch's adaptive pooling.

    Input: (batch, height, width, channels) with a known height and width (ValueError); output: (batch, grid, grid, channels).
    """

    def __init__(self, grid, window=None, **kwargs):
        super().__init__(**kwargs)
        self.grid, self.window = grid, window and tuple(window)

    def build(self, input_shape):
        if None in input_shape[1:3]:
            raise ValueError(f"GridPool needs a known height and width. Received: input_shape={input_shape}")
        self.rows, self.columns = (self._averages(side) for side in input_shape[1:3])

    def _averages(self, side: int) -> list[list[float]]:
        """Returns one row per cell: the weight of each of `side` pixels."""
        bounds = [(i * side // self.grid, -(-(i + 1) * side // self.grid)) for i in range(self.grid)]
        if self.window and side >= self.window[0] and (side - self.window[0]) // self.window[1] + 1 == self.grid:
            size, step = self.window
            bounds = [(i * step, i * step + size) for i in range(self.grid)]
        return [[1 / (end - start) if start <= pixel < end else 0.0 for pixel in range(side)] for start, end in bounds]

    def call(self, x):
        rows, columns = (ops.convert_to_tensor(averages, x.dtype) for averages in (self.rows, self.columns))
        return ops.einsum("rh,bhwc,kw->brkc", rows, x, columns)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.grid, self.grid, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "grid": self.grid, "window": self.window and list(self.window)}


@keras.saving.register_keras_serializable(package="kerascnn")
class AuxiliaryHead(layers.Layer):
    """Logits from inside the network, for the loss only (Szegedy et al., 2015, section 5; 2016, figure 8).

    Averages over a grid, convolutions, a hidden layer where it has one, dropout, logits in float32.

    Args:
        num_classes: Number of logits.
        steps: Rows of the convolutions (see the module's docstring).
        grid: Cells per side that the input is averaged to.
        window: Size and step of the paper's average pooling, or None; see `GridPool`.
        hidden: Units of a ReLU layer before the logits, 0 for none.
        dropout: Dropout rate before the logits.
        scale: Whether normalizations have a gamma.
        momentum: Momentum of their moving statistics.
        epsilon: Epsilon of the normalizations.

    Input: (batch, height, width, channels) with a known height and width (ValueError); output: (batch, num_classes).
    """

    def __init__(
        self,
        num_classes,
        steps,
        grid,
        *,
        window=None,
        hidden=0,
        dropout=0.0,
        scale=True,
        momentum=0.9,
        epsilon=1e-3,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_classes, self.steps, self.grid, self.window = num_classes, frozen(steps), grid, window
        self.hidden, self.dropout = hidden, dropout
        self.scale, self.momentum, self.epsilon = scale, momentum, epsilon
        policy, style = self.dtype_policy, Style({"momentum": momentum, "epsilon": epsilon})
        self.chain = [
            GridPool(grid, window, dtype=policy, name="grid"),
            *(
                layer_of(blocks.named(step, f"conv{i}", scale=scale), style, policy)
                for i, step in enumerate(self.steps, 1)
            ),
            layers.Flatten(dtype=policy, name="flatten"),
        ]
        if hidden:
            init = "he_normal"
            self.chain.append(layers.Dense(hidden, "relu", kernel_initializer=init, dtype=policy, name="hidden"))
        self.chain.append(
            layers.Dropout(dropout, dtype=policy, name="dropout") if dropout else identity("dropout", policy)
        )
        self.chain.append(layers.Dense(num_classes, dtype="float32", name="logits"))

    def build(self, input_shape):
        build_chain(self.chain, input_shape)

    def call(self, x):
        return through(self.chain, x)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.num_classes)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), "float32")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "steps": thawed(self.steps),
            "grid": self.grid,
            "window": self.window,
            "hidden": self.hidden,
            "dropout": self.dropout,
            "scale": self.scale,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
        }
