"""The contents of the rows in `tables`, by kind of network. No TensorFlow here.

Stems, stages and branches are chains of *steps* in the short form that tables are written in (`steps` has the long one):

    (filters, kernel, strides=1, padding="symmetric")       convolution, normalization, ReLU; kernel: k or (height, width)
    ("max" or "avg", size, strides=1, padding="symmetric")  pooling (paddings: kerascnn.layers.Pool2D)
    (branch, branch, ...)                                   branches side by side, each a chain, concatenated
"""

from dataclasses import dataclass

Chain = tuple
# Names of the layers whose weights compute the logits: `logits`, or the scores that it averages (inception_article).
HEADS = ("logits", "scores")


@dataclass(frozen=True, kw_only=True)
class Arch:
    """The common part of all rows: source, published image size, preprocessing, settings of the normalizations."""

    family: str
    year: int | None
    paper: str
    image_size: int = 224
    pixels: str = "imagenet"  # name in PIXELS
    momentum: float = (
        0.9  # torch's 0.1; the 0.99 and more of Keras and TF-slim need longer schedules than most data sets have
    )
    epsilon: float = 1e-5
    dropout: float = 0.0  # before the logits
    stem: Chain = ((64, 7, 2), ("max", 3, 2))


@dataclass(frozen=True, kw_only=True)
class ResNet(Arch):
    """Stages of equal residual blocks; each stage but the first halves the image.

    `widths` are the papers' filter counts; a bottleneck's output has four times as many. `inner` (channels inside, by stage
    and block) is filled by `filters.resolve`: width x bottleneck_ratio.
    """

    family: str = "resnet"
    block: str = "BasicBlock"  # key of blocks.RESIDUAL
    depths: tuple[int, ...] = (2, 2, 2, 2)
    widths: tuple[int, ...] = (64, 128, 256, 512)
    bottleneck_ratio: float = 1
    groups: int = 1
    shortcut: str = "B"  # as in kerascnn.layers.ResidualBlock; "none" for a plain network
    se_ratio: int = 0  # output channels per unit of the squeeze-and-excitation, 0 for none
    use_bias: bool = False
    stride_first: bool = False  # the stride in the first 1x1 of a bottleneck
    stride_last: bool = False  # the stride in the last block of a stage
    inner: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Residual:
    """A stage's element: relu(x + scale * conv1x1(branches)), without the ReLU where `relu` is False."""

    branches: Chain
    scale: float
    relu: bool = True


@dataclass(frozen=True, kw_only=True)
class Auxiliary:
    """A head inside the network, for training only; see kerascnn.layers.AuxiliaryHead."""

    tap: str  # layer whose output it uses
    weight: float  # weight of its loss
    steps: Chain
    grid: int
    window: tuple[int, int] | None = None
    hidden: int = 0
    dropout: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Inception(Arch):
    """A stem, then stages, each a chain of steps and `Residual`s that begins with its reduction."""

    family: str = "inception"
    epsilon: float = 1e-3
    pixels: str = "inception"
    scale: bool = True  # whether normalizations have a gamma
    stages: tuple[Chain, ...] = ()
    auxiliary: tuple[Auxiliary, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Xception(Arch):
    """Stages of residual blocks of separable convolutions: (filters of each, strides, whether it is residual)."""

    family: str = "inception"
    pixels: str = "inception"
    stages: tuple[tuple[tuple[tuple[int, ...], int, bool], ...], ...] = ()
    pooling: str = "symmetric"  # padding of the blocks' pooling


@dataclass(frozen=True, kw_only=True)
class ResNet9(Arch):
    """Stages of a convolution, pooling, and if the second entry is true two more convolutions as a residual."""

    family: str = "resnet"
    stages: tuple[tuple[int, bool], ...] = ()
    logit_scale: float = 1.0


@dataclass(frozen=True, kw_only=True)
class ArticleResNet(Arch):
    """Plain convolutions, then one residual connection per further stage; convolution + bias + ReLU throughout."""

    family: str = "resnet"
    plain: tuple[int, ...] = ()
    residual: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ArticleInception(Arch):
    """Modules by stage, each the filters of its four branches; convolution + bias + ReLU throughout."""

    family: str = "inception"
    stages: tuple[tuple[tuple[int, ...], ...], ...] = ()
