"""Every architecture as a row of plain data (see `rows`). No TensorFlow here.

A new depth or variant is one row. Sources are the papers in the rows, and torchvision and timm for details that papers omit;
keras.applications for names that end in `_keras`: one name is one function, so that a weight file fits exactly one row.
"""

from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from kerascnn.architectures import modules, own
from kerascnn.architectures.modules import AVG, AVG_ZEROS, POOL, POOL_CEIL, POOL_VALID
from kerascnn.architectures.rows import (
    Arch,
    ArticleInception,
    ArticleResNet,
    Auxiliary,
    Chain,
    Inception,
    ResNet,
    ResNet9,
    Xception,
)
from kerascnn.errors import UserError

# name -> mean, std (in pixel values) and whether channels are reversed to blue, green, red
PIXELS = {
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), False),
    "inception": ((127.5,) * 3, (127.5,) * 3, False),
    "caffe": ((103.939, 116.779, 123.68), (1.0,) * 3, True),
    "small": ((127.5,) * 3, (63.75,) * 3, False),  # approximately CIFAR's, for any data set
}

HE15 = "He et al. 2015, Deep Residual Learning, arXiv 1512.03385"
HE16 = "He et al. 2016, Identity Mappings in Deep Residual Networks, arXiv 1603.05027"
WIDE = "Zagoruyko and Komodakis 2016, Wide Residual Networks, arXiv 1605.07146"
XIE = "Xie et al. 2017, Aggregated Residual Transformations (ResNeXt), arXiv 1611.05431"
HU = "Hu et al. 2018, Squeeze-and-Excitation Networks, arXiv 1709.01507"
TRICKS = "He T. et al. 2019, Bag of Tricks, arXiv 1812.01187"
ZHANG_H = "Zhang H. et al. 2020, ResNeSt, arXiv 2004.08955"
BELLO = "Bello et al. 2021, Revisiting ResNets, arXiv 2103.07579"
PAGE = "Page 2018, How to Train Your ResNet, DAWNBench"
GOOGLENET = "Szegedy et al. 2015, Going Deeper with Convolutions, arXiv 1409.4842"
BN15 = "Ioffe and Szegedy 2015, Batch Normalization, arXiv 1502.03167"
SZEGEDY16 = "Szegedy et al. 2016, Rethinking the Inception Architecture, arXiv 1512.00567"
SZEGEDY17 = "Szegedy et al. 2017, Inception-v4, Inception-ResNet, arXiv 1602.07261"
ZHANG = "Zhang et al. 2017, Understanding Deep Learning Requires Rethinking Generalization, arXiv 1611.03530"
CHOLLET = "Chollet 2017, Xception, arXiv 1610.02357"
ARTICLE = "no paper: convolutions with a bias and ReLU, no normalization (see kerascnn.architectures.networks)"

D34, D50, D101, D152 = (3, 4, 6, 3), (3, 4, 6, 3), (3, 4, 23, 3), (3, 8, 36, 3)
STEM_DEEP: Chain = ((32, 3, 2), (32, 3), (64, 3), ("max", 3, 2))
STEM_RS: Chain = ((32, 3, 2), (32, 3), (64, 3), (64, 3, 2))

_18 = ResNet(year=2015, paper=HE15)
_34 = replace(_18, depths=D34)
_50 = replace(_18, block="Bottleneck", depths=D50)
_101, _152 = replace(_50, depths=D101), replace(_50, depths=D152)
_V2 = replace(_50, block="PreActBottleneck", year=2016, paper=HE16, pixels="inception")
_D: dict[str, Any] = {"year": 2018, "paper": TRICKS, "stem": STEM_DEEP, "shortcut": "D"}
_WIDE: dict[str, Any] = {"bottleneck_ratio": 2, "year": 2016, "paper": WIDE}
_NEXT: dict[str, Any] = {"groups": 32, "year": 2016, "paper": XIE}
_KERAS: dict[str, Any] = {"use_bias": True, "epsilon": 1.001e-5}
_CIFAR = replace(_18, image_size=32, pixels="small", stem=((16, 3),), widths=(16, 32, 64), shortcut="A")
_PREACT = replace(_CIFAR, block="PreActBottleneck", shortcut="B", stride_first=True, year=2016, paper=HE16)
_WRN = replace(_PREACT, block="PreActBasicBlock", stride_first=False, paper=WIDE)

RESNETS: dict[str, Arch] = {
    "resnet20": replace(_CIFAR, depths=(3, 3, 3)),
    "resnet32": replace(_CIFAR, depths=(5, 5, 5)),
    "resnet44": replace(_CIFAR, depths=(7, 7, 7)),
    "resnet56": replace(_CIFAR, depths=(9, 9, 9)),
    "resnet110": replace(_CIFAR, depths=(18, 18, 18)),
    "preact_resnet164": replace(_PREACT, depths=(18, 18, 18)),
    "wrn16_4": replace(_WRN, depths=(2, 2, 2), widths=(64, 128, 256)),
    "wrn28_10": replace(_WRN, depths=(4, 4, 4), widths=(160, 320, 640)),
    "resnet9": ResNet9(
        year=2018,
        paper=PAGE,
        image_size=32,
        pixels="small",
        stem=((64, 3),),
        stages=((128, True), (256, False), (512, True)),
        logit_scale=0.125,
    ),
    "resnet18": _18,
    "resnet34": _34,
    "resnet50": _50,
    "resnet101": _101,
    "resnet152": _152,
    "resnetv2_50": _V2,
    "resnetv2_101": replace(_V2, depths=D101),
    "resnetv2_152": replace(_V2, depths=D152),
    "resnet18d": replace(_18, **_D),
    "resnet34d": replace(_34, **_D),
    "resnet50d": replace(_50, **_D),
    "resnet101d": replace(_101, **_D),
    "resnet152d": replace(_152, **_D),
    "resnext50_32x4d": replace(_50, bottleneck_ratio=2, **_NEXT),
    "resnext101_32x8d": replace(_101, bottleneck_ratio=4, **_NEXT),
    "seresnet50": replace(_50, se_ratio=16, year=2017, paper=HU),
    "wide_resnet50_2": replace(_50, **_WIDE),
    "wide_resnet101_2": replace(_101, **_WIDE),
    "resnetrs50": replace(
        _50, image_size=160, stem=STEM_RS, shortcut="D", se_ratio=4, dropout=0.25, year=2021, paper=BELLO
    ),
    "resnest50": replace(_50, **{**_D, "block": "SplitAttentionBlock", "year": 2020, "paper": ZHANG_H}),
    "resnet50_keras": replace(_50, stride_first=True, pixels="caffe", **_KERAS),
    "resnetv2_50_keras": replace(
        _V2, stem=((64, 7, 2), ("max", 3, 2, "zeros")), shortcut="pool", stride_last=True, **_KERAS
    ),
    "resnet_article": ArticleResNet(
        year=None,
        paper=ARTICLE,
        stem=((64, 7, 2), ("max", 2, 2, "valid")),
        plain=(64, 128),
        residual=(256, 512),
    ),
}

STEM_V1: Chain = ((64, 7, 2), POOL_CEIL, (64, 1), (192, 3), POOL_CEIL)
STEM_V3: Chain = (
    (32, 3, 2, "valid"),
    (32, 3, 1, "valid"),
    (64, 3),
    POOL_VALID,
    (80, 1),
    (192, 3, 1, "valid"),
)
STEM_V4: Chain = (
    (32, 3, 2, "valid"),
    (32, 3, 1, "valid"),
    (64, 3),
    ((POOL_VALID,), ((96, 3, 2, "valid"),)),
    (((64, 1), (96, 3, 1, "valid")), ((64, 1), (64, (1, 7)), (64, (7, 1)), (96, 3, 1, "valid"))),
    (((192, 3, 2, "valid"),), (POOL_VALID,)),
)

_GOOGLENET = Inception(
    year=2014,
    paper=GOOGLENET,
    dropout=0.4,
    stem=STEM_V1,
    stages=modules.googlenet(5),
    auxiliary=tuple(
        Auxiliary(tap=tap, weight=0.3, steps=((128, 1),), grid=4, window=(5, 3), hidden=1024, dropout=0.7)
        for tap in ("stage2_block1", "stage2_block4")
    ),
)
_V3 = Inception(
    year=2015,
    paper=SZEGEDY16,
    image_size=299,
    dropout=0.5,
    stem=(*STEM_V3, POOL_VALID),
    stages=modules.v3(AVG_ZEROS),
    auxiliary=(Auxiliary(tap="stage2", weight=0.4, steps=((128, 1), (768, 5, 1, "valid")), grid=5, window=(5, 3)),),
)
_IRV2 = replace(_V3, year=2016, paper=SZEGEDY17, dropout=0.2, stages=modules.inception_resnet_v2(), auxiliary=())
_XCEPTION = Xception(
    year=2016,
    paper=CHOLLET,
    image_size=299,
    dropout=0.5,
    stem=((32, 3, 2, "valid"), (64, 3, 1, "valid")),
    stages=(
        (((128, 128), 2, True),),
        (((256, 256), 2, True),),
        (((728, 728), 2, True), *8 * (((728, 728, 728), 1, True),)),
        (((728, 1024), 2, True), ((1536, 2048), 1, False)),
    ),
)

INCEPTIONS: dict[str, Arch] = {
    "inception_small": Inception(
        year=2017,
        paper=ZHANG,
        image_size=32,
        pixels="small",
        stem=((96, 3),),
        stages=(
            (modules.side_by_side(32, 32), modules.side_by_side(32, 48)),
            (
                modules.down(80),
                modules.side_by_side(112, 48),
                modules.side_by_side(96, 64),
                modules.side_by_side(80, 80),
                modules.side_by_side(48, 96),
            ),
            (modules.down(96), modules.side_by_side(176, 160), modules.side_by_side(176, 160)),
        ),
    ),
    "googlenet": _GOOGLENET,
    "googlenet_tv": replace(
        _GOOGLENET,
        dropout=0.2,
        stages=modules.googlenet(3),
        auxiliary=tuple(replace(head, window=None) for head in _GOOGLENET.auxiliary),
    ),
    "bn_inception": Inception(
        year=2015,
        paper=BN15,
        epsilon=1e-5,
        stem=STEM_V1,
        stages=(
            (modules.bn(64, 64, 64, 64, 96, 32), modules.bn(64, 64, 96, 64, 96, 64)),
            (
                modules.bn_down(128, 160, 64, 96),
                modules.bn(224, 64, 96, 96, 128, 128),
                modules.bn(192, 96, 128, 96, 128, 128),
                modules.bn(160, 128, 160, 128, 160, 128),
                modules.bn(96, 128, 192, 160, 192, 128),
            ),
            (
                modules.bn_down(128, 192, 192, 256),
                modules.bn(352, 192, 320, 160, 224, 128),
                modules.bn(352, 192, 320, 192, 224, 128, ("max", 3)),
            ),
        ),
    ),
    "inception_v3": _V3,
    "inception_v4": replace(
        _V3, year=2016, paper=SZEGEDY17, dropout=0.2, stem=STEM_V4, stages=modules.v4(), auxiliary=()
    ),
    "inception_resnet_v1": replace(_IRV2, stem=(*STEM_V3, (256, 3, 2, "valid")), stages=modules.inception_resnet_v1()),
    "inception_resnet_v2": _IRV2,
    "xception": _XCEPTION,
    "inception_v3_keras": replace(_V3, scale=False, dropout=0.0, stages=modules.v3(AVG), auxiliary=()),
    "inception_resnet_v2_keras": replace(_IRV2, scale=False, dropout=0.0),
    "xception_keras": replace(_XCEPTION, epsilon=1e-3, dropout=0.0, pooling="same"),
    "inception_article": ArticleInception(
        year=None,
        paper=ARTICLE,
        dropout=0.5,
        stem=((64, 7, 2), POOL),
        stages=(
            ((64, 96, 128, 160), (192, 96, 208, 224)),
            2 * ((384, 192, 192, 224),),
            2 * ((384, 192, 192, 224),),
        ),
    ),
}

ARCHS: dict[str, Arch] = {**RESNETS, **INCEPTIONS}

# Archs of the families: up to 64 px, and above.
FAMILIES = {"resnet": ("resnet20", "resnet50"), "inception": ("inception_small", "inception_v3")}
SMALL_IMAGE = 64


def resolve(name: str, image_size: int) -> str:
    """Returns the arch of `name` (an arch, a family or a function) for images of `image_size` px. UserError if unknown."""
    if name in FAMILIES:
        return FAMILIES[name][image_size > SMALL_IMAGE]
    if found := own.parse(name):
        own.check(found)
    else:
        row(name)
    return name


def family(arch: str) -> str:
    """Returns the family of an arch: resnet, inception, or own for a function."""
    return "own" if own.parse(arch) else row(arch).family


def row(arch: str) -> Arch:
    """Returns the row of `arch`. UserError with the most similar name if there is none."""
    if found := own.parse(arch):
        raise UserError(f"{found.name} has no row in the tables: only networks of `kerascnn archs` do this")
    if arch not in ARCHS:
        near = get_close_matches(arch.lower().replace("-", "_"), [*ARCHS, *FAMILIES], n=3, cutoff=0.4)
        hint = f"; perhaps you meant {' or '.join(near)}" if near else ""
        raise UserError(
            f"unknown arch {arch!r}{hint} (`kerascnn archs` lists all; keras:NAME or"
            " FILE.py:FUNCTION is another network)"
        )
    return ARCHS[arch]
