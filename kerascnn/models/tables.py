"""Every architecture as a row of plain data. No TensorFlow here: names, counts and errors are known before it loads.

Stems, stages and branches are chains of *steps*; a step is a tuple:

    (filters, kernel, strides=1, padding="symmetric")       convolution, normalization, ReLU; kernel: k or (height, width)
    ("max" or "avg", size, strides=1, padding="symmetric")  pooling (paddings: kerascnn.layers.Pool2D)
    (branch, branch, ...)                                   branches side by side, each a chain, concatenated

A new depth or variant is one row. Sources: the papers named in the rows; torchvision and timm for the rows that carry their
names; keras.applications where a name ends in `_keras`.
"""

from dataclasses import dataclass, replace
from difflib import get_close_matches

from kerascnn.config import UserError

Chain = tuple

STEM_7X7: Chain = ((64, 7, 2), ("max", 3, 2))
STEM_DEEP: Chain = ((32, 3, 2), (32, 3), (64, 3), ("max", 3, 2))
STEM_CIFAR: Chain = ((16, 3),)


@dataclass(frozen=True, kw_only=True)
class Arch:
    """What all rows tell: source, published image size, preprocessing, settings of the normalizations."""

    family: str
    year: int
    paper: str
    image_size: int = 224
    pixels: str = "imagenet"  # a name in PIXELS
    momentum: float = (
        0.9  # torch's 0.1; Keras' and the papers' 0.99 and more need longer schedules than most images allow
    )
    epsilon: float = 1e-5
    dropout: float = 0.0  # in front of the logits
    stem: Chain = STEM_7X7


@dataclass(frozen=True, kw_only=True)
class ResNet(Arch):
    """Stages of equal residual blocks; each stage but the first halves the image.

    `widths` are the papers' filter counts; a bottleneck's output has four times as many. `inner` (channels inside, by stage
    and block) is filled by `filters.resolve`: width x inner_ratio.
    """

    family: str = "resnet"
    block: str = "BasicBlock"  # a class of kerascnn.layers
    depths: tuple[int, ...] = (2, 2, 2, 2)
    widths: tuple[int, ...] = (64, 128, 256, 512)
    inner_ratio: int = 1
    groups: int = 1
    shortcut: str = "B"
    squeeze: int = 0  # output channels per unit of the squeeze-and-excitation, 0 for none
    use_bias: bool = False
    stride_first: bool = False  # the stride in the first 1x1 of a bottleneck
    stride_last: bool = False  # the stride in the last block of a stage
    inner: tuple[tuple[int, ...], ...] = ()

    @property
    def expansion(self) -> int:
        return 4 if self.block in ("Bottleneck", "PreActBottleneck") else 1

    @property
    def pre_activation(self) -> bool:
        return self.block.startswith("PreAct")


@dataclass(frozen=True, kw_only=True)
class Residual:
    """A stage's element: relu(x + scale * conv1x1(branches)), without the ReLU where `relu` is False."""

    branches: Chain
    scale: float
    relu: bool = True


@dataclass(frozen=True, kw_only=True)
class Auxiliary:
    """A head inside the network, for training only; see kerascnn.layers.AuxiliaryHead."""

    tap: str  # the layer whose output it reads
    weight: float  # of its loss
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


# name -> mean, std (in pixel values) and whether channels are reversed to blue, green, red
PIXELS = {
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), False),
    "inception": ((127.5,) * 3, (127.5,) * 3, False),
    "caffe": ((103.939, 116.779, 123.68), (1.0,) * 3, True),
    "small": ((127.5,) * 3, (63.75,) * 3, False),  # about CIFAR's own, and no data set's in particular
}

HE15 = "He et al. 2015, Deep Residual Learning, arXiv 1512.03385"
ZHANG = "Zhang et al. 2017, Understanding deep learning requires rethinking generalization, arXiv 1611.03530"
SZEGEDY16 = "Szegedy et al. 2016, Rethinking the Inception Architecture, arXiv 1512.00567"

_CIFAR = ResNet(
    year=2015,
    paper=HE15,
    image_size=32,
    pixels="small",
    stem=STEM_CIFAR,
    widths=(16, 32, 64),
    shortcut="A",
    depths=(3, 3, 3),
)
_RESNET = ResNet(year=2015, paper=HE15)

RESNETS: dict[str, Arch] = {
    "resnet20": _CIFAR,
    "resnet18": _RESNET,
    "resnet50": replace(_RESNET, block="Bottleneck", depths=(3, 4, 6, 3)),
}


def _side_by_side(one: int, three: int) -> Chain:
    return ((one, 1),), ((three, 3),)


def _down(filters: int) -> Chain:
    return ((filters, 3, 2),), (("max", 3, 2),)


def _v3_a(pool: int) -> Chain:
    return ((64, 1),), ((48, 1), (64, 5)), ((64, 1), (96, 3), (96, 3)), (("avg", 3, 1, "zeros"), (pool, 1))


def _v3_b(c: int) -> Chain:
    factorised = (c, 1), (c, (7, 1)), (c, (1, 7)), (c, (7, 1)), (192, (1, 7))
    return ((192, 1),), ((c, 1), (c, (1, 7)), (192, (7, 1))), factorised, (("avg", 3, 1, "zeros"), (192, 1))


_V3_SPLIT = (((384, (1, 3)),), ((384, (3, 1)),))
_V3_C = ((320, 1),), ((384, 1), _V3_SPLIT), ((448, 1), (384, 3), _V3_SPLIT), (("avg", 3, 1, "zeros"), (192, 1))
_V3_TO_17 = ((384, 3, 2, "valid"),), ((64, 1), (96, 3), (96, 3, 2, "valid")), (("max", 3, 2, "valid"),)
_V3_TO_8 = (
    ((192, 1), (320, 3, 2, "valid")),
    ((192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2, "valid")),
    (("max", 3, 2, "valid"),),
)
_V3_STEM = (
    (32, 3, 2, "valid"),
    (32, 3, 1, "valid"),
    (64, 3),
    ("max", 3, 2, "valid"),
    (80, 1, 1, "valid"),
    (192, 3, 1, "valid"),
    ("max", 3, 2, "valid"),
)

INCEPTIONS: dict[str, Arch] = {
    "inception_small": Inception(
        year=2017,
        paper=ZHANG,
        image_size=32,
        pixels="small",
        stem=((96, 3),),
        stages=(
            (_side_by_side(32, 32), _side_by_side(32, 48)),
            (_down(80), _side_by_side(112, 48), _side_by_side(96, 64), _side_by_side(80, 80), _side_by_side(48, 96)),
            (_down(96), _side_by_side(176, 160), _side_by_side(176, 160)),
        ),
    ),
    "inception_v3": Inception(
        year=2016,
        paper=SZEGEDY16,
        image_size=299,
        dropout=0.5,
        stem=_V3_STEM,
        stages=(
            (_v3_a(32), _v3_a(64), _v3_a(64)),
            (_V3_TO_17, _v3_b(128), _v3_b(160), _v3_b(160), _v3_b(192)),
            (_V3_TO_8, _V3_C, _V3_C),
        ),
        auxiliary=(Auxiliary(tap="stage2", weight=0.4, steps=((128, 1), (768, 5, 1, "valid")), grid=5, window=(5, 3)),),
    ),
}

ARCHS: dict[str, Arch] = {**RESNETS, **INCEPTIONS}

# The arch that a family's name stands for: up to 64 px, and above.
FAMILIES = {"resnet": ("resnet20", "resnet50"), "inception": ("inception_small", "inception_v3")}
SMALL_IMAGE = 64


def resolve(name: str, image_size: int) -> str:
    """The concrete arch that `name` (an arch or a family) means for images of `image_size` px. UserError if unknown."""
    if name in FAMILIES:
        return FAMILIES[name][image_size > SMALL_IMAGE]
    row(name)
    return name


def row(arch: str) -> Arch:
    """The row called `arch`. UserError, naming the nearest, if there is none."""
    if arch not in ARCHS:
        near = get_close_matches(arch.lower().replace("-", "_"), [*ARCHS, *FAMILIES], n=3, cutoff=0.4)
        hint = f"; perhaps you meant {' or '.join(near)}" if near else ""
        raise UserError(f"unknown arch {arch!r}{hint} (`kerascnn archs` lists all)")
    return ARCHS[arch]
