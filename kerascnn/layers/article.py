"""The blocks of the two networks of the comparison article: convolution, bias, ReLU; no normalization. Channels-last.

`kerascnn.architectures.networks` describes what they keep of the article and what they correct.
"""

from typing import Any

import keras

from kerascnn.architectures import blocks
from kerascnn.architectures.steps import Block
from kerascnn.layers.described import Described, Parts

__all__ = ["ArticleModule", "ArticleResidual"]


@keras.saving.register_keras_serializable(package="kerascnn")
class ArticleResidual(Described):
    """y = F(x) + x, where F is one 3x3 convolution with its ReLU; none follows the addition.

    Args:
        filters: Number of output channels; where the input has another number, x goes through a 1x1 convolution.

    Input: (batch, height, width, channels); output: (batch, height, width, filters).
    """

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters

    def describe(self, channels) -> Block:
        return blocks.article_residual(channels, self.filters)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable(package="kerascnn")
class ArticleModule(Described):
    """Four branches side by side, then a 1x1 convolution to the first branch's channels and one back to the input's.

    The branches: 1x1; 1x1 then 1x3; 1x1 then 3x1; 1x1 then 3x3.

    Args:
        filters: Channels of the four branches, in all of their convolutions.

    Input and output: (batch, height, width, channels).
    """

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = list(filters)
        if len(self.filters) != len(blocks.ARTICLE_KERNELS):
            raise ValueError(f"ArticleModule has four branches. Received: filters={filters}")

    def describe(self, channels) -> Block:
        return blocks.article_module(channels, self.filters)

    def keep(self, parts: Parts) -> None:
        self.branches = parts.branches
        self.narrow, self.widen = parts.join

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": list(self.filters)}
