"""The reusable layers. Importing this module registers all of them, which loading a `.keras` file needs."""

from kerascnn.layers.article import ArticleModule, ArticleResidual
from kerascnn.layers.conv import Conv2D, ConvBN, Pool2D
from kerascnn.layers.inception import AuxiliaryHead, GridPool, InceptionBlock, InceptionResidual
from kerascnn.layers.norm import BatchNormalization, BNReLU
from kerascnn.layers.paths import stock_paths
from kerascnn.layers.preactivation import PreActBasicBlock, PreActBottleneck
from kerascnn.layers.preprocess import Preprocess
from kerascnn.layers.residual import (
    BasicBlock,
    Bottleneck,
    DropPath,
    PadShortcut,
    PlainBlock,
    PoolingBlock,
    SqueezeExcite,
)
from kerascnn.layers.xception import SeparableConvBN, XceptionBlock

__all__ = [
    "ArticleModule",
    "ArticleResidual",
    "AuxiliaryHead",
    "BNReLU",
    "BasicBlock",
    "BatchNormalization",
    "Bottleneck",
    "Conv2D",
    "ConvBN",
    "DropPath",
    "GridPool",
    "InceptionBlock",
    "InceptionResidual",
    "PadShortcut",
    "PlainBlock",
    "Pool2D",
    "PoolingBlock",
    "PreActBasicBlock",
    "PreActBottleneck",
    "Preprocess",
    "SeparableConvBN",
    "SqueezeExcite",
    "XceptionBlock",
    "stock_paths",
]
