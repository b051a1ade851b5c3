"""Maps the layers of published weight files to ours, computed from the rows. No TensorFlow here.

A table maps the path of each of our layers with weights (`stage1_block2/conv1/bn`) to the peer's name (`layer1.1.bn1`).
`torch` has the names of torchvision and timm, which agree if both have a network; `keras` those of keras.applications, with
`conv2d#3` for the fourth convolution (in the order of creation) without a name of its own.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from kerascnn.architectures import blocks, filters, networks
from kerascnn.architectures.rows import ResNet
from kerascnn.architectures.steps import LayerUnit
from kerascnn.architectures.tables import ARCHS, SMALL_IMAGE

# Names of our rows in `keras.applications`, and the files that its downloader writes.
KERAS = {
    "resnet50_keras": ("ResNet50", "resnet50_weights_tf_dim_ordering_tf_kernels.h5"),
    "resnetv2_50_keras": ("ResNet50V2", "resnet50v2_weights_tf_dim_ordering_tf_kernels.h5"),
    "inception_v3_keras": ("InceptionV3", "inception_v3_weights_tf_dim_ordering_tf_kernels.h5"),
    "inception_resnet_v2_keras": ("InceptionResNetV2", "inception_resnet_v2_weights_tf_dim_ordering_tf_kernels.h5"),
    "xception_keras": ("Xception", "xception_weights_tf_dim_ordering_tf_kernels.h5"),
}
# Prefixes of layers that only training needs, which a single-output network leaves out.
AUXILIARY = {"googlenet_tv": ("aux1.", "aux2."), "inception_v3": ("AuxLogits.",)}


def torch(arch: str) -> dict[str, str]:
    """Maps our layers to those of torchvision or timm; empty if neither has this network."""
    row = ARCHS[arch]
    if isinstance(row, ResNet) and row.image_size > SMALL_IMAGE and arch not in KERAS:
        before = blocks.RESIDUAL[row.block].pre_activation
        return _preact_torch(arch) if before else _resnet_torch(arch, row)
    if arch == "xception":
        return _xception_torch(arch)
    if arch in _INCEPTION_UNITS:
        head = {"inception_v4": "last_linear", "inception_resnet_v2": "classif"}.get(arch, "fc")
        return _in_order(arch, [*_INCEPTION_UNITS[arch](), head])
    return {}


def keras(arch: str) -> dict[str, str]:
    """Maps our layers to those of keras.applications; empty for rows that it lacks."""
    if arch not in KERAS:
        return {}
    row = ARCHS[arch]
    if isinstance(row, ResNet):
        return _preact_keras(arch) if blocks.RESIDUAL[row.block].pre_activation else _resnet_keras(arch)
    return _counted_up(_xception_keras(arch) if arch.startswith("xception") else _inception_keras(arch))


# Our layers with weights, as the network's description has them


def _units(arch: str) -> list[LayerUnit]:
    """Returns the paths of our units of convolution and normalization in graph order; those on `/project` have no norm."""
    row, _ = filters.resolve(arch)
    return networks.units(row)


class _Place(NamedTuple):
    """A block by its stage, its number there, and its number in the network, all from 1."""

    stage: int
    block: int
    number: int


def _folded(arch: str, outside: Mapping[str, str], inside: Callable[[_Place], Mapping[str, str]]) -> dict[str, str]:
    """Our layers to a peer's.

    Args:
        arch: Whose.
        outside: Names of what stands in no block, by our paths.
        inside: Names of what stands in a block, by our paths inside it; at "" the peer's name of the block, for what says
            itself how it is called there.
    """
    names: dict[str, str] = {}
    places: dict[tuple[str, str], _Place] = {}
    for unit in _units(arch):
        found = re.fullmatch(r"stage(\d+)_block(\d+)[/_](.+)", unit.path)
        if not found:
            names[unit.path] = outside[unit.path]
            continue
        stage, block, own = found.groups()
        table = inside(places.setdefault((stage, block), _Place(int(stage), int(block), len(places) + 1)))
        names[unit.path] = f"{table['']}.{unit.peer}" if unit.peer else table[own]
    return names


def _in_order(arch: str, peers: list[str]) -> dict[str, str]:
    """Our layers to a peer's, whose pairs of convolution and normalization stand in the same order and have our names."""
    paths = [unit.path for unit in _units(arch)]
    owners = [path.removesuffix("/conv").removesuffix("/bn") for path in paths]
    theirs = dict(zip(dict.fromkeys(owners), peers, strict=True))
    pairs = zip(paths, owners, strict=True)
    return {path: theirs[own] + path.removeprefix(own).replace("/", ".") for path, own in pairs}


def _counted_up(names: Mapping[str, str]) -> dict[str, str]:
    """`conv2d#` to `conv2d#0`, `conv2d#1`, ... in their order."""
    seen: Counter[str] = Counter()
    found = {}
    for ours, theirs in names.items():
        found[ours] = f"{theirs}{seen[theirs]}" if theirs.endswith("#") else theirs
        seen[theirs] += 1
    return found


# Residual networks


def _resnet_torch(arch: str, row: ResNet) -> dict[str, str]:
    stem = [("conv1", "bn1")]
    if sum(isinstance(step[0], int) for step in row.stem) > 1:
        stem = [("conv1.0", "conv1.1"), ("conv1.3", "conv1.4"), ("conv1.6", "bn1"), ("maxpool.0", "maxpool.1")]
    outside = {"logits": "fc"}
    for i, (conv, norm) in enumerate(stem, 1):
        outside |= {f"stem_{i}/conv": conv, f"stem_{i}/bn": norm}
    first = 1 if row.shortcut == "D" else 0  # after the pooling of the shortcut

    def inside(place: _Place) -> dict[str, str]:
        own = f"layer{place.stage}.{place.block - 1}"
        return {
            "": own,
            **{f"conv{i}/{part}": f"{own}.{part}{i}" for i in (1, 2, 3) for part in ("conv", "bn")},
            "gate/reduce": f"{own}.se.fc1",
            "gate/expand": f"{own}.se.fc2",
            "projection/conv": f"{own}.downsample.{first}",
            "projection/bn": f"{own}.downsample.{first + 1}",
        }

    return _folded(arch, outside, inside)


def _preact_torch(arch: str) -> dict[str, str]:
    def inside(place: _Place) -> dict[str, str]:
        own = f"stages.{place.stage - 1}.blocks.{place.block - 1}"
        names = {"projection": f"{own}.downsample.conv"}
        for i in (1, 2, 3):
            names |= {f"norm{i}/bn": f"{own}.norm{i}", f"conv{i}": f"{own}.conv{i}"}
        return names

    return _folded(arch, {"stem_1": "stem.conv", "norm/bn": "norm", "logits": "head.fc"}, inside)


def _resnet_keras(arch: str) -> dict[str, str]:
    def inside(place: _Place) -> dict[str, str]:
        own = f"conv{place.stage + 1}_block{place.block}"
        layers = (("projection", 0), ("conv1", 1), ("conv2", 2), ("conv3", 3))
        return {f"{ours}/{part}": f"{own}_{i}_{part}" for ours, i in layers for part in ("conv", "bn")}

    return _folded(arch, {"stem_1/conv": "conv1_conv", "stem_1/bn": "conv1_bn", "logits": "predictions"}, inside)


def _preact_keras(arch: str) -> dict[str, str]:
    def inside(place: _Place) -> dict[str, str]:
        own = f"conv{place.stage + 1}_block{place.block}"
        names = {"projection": f"{own}_0_conv"}
        for i, norm in ((1, "preact_bn"), (2, "1_bn"), (3, "2_bn")):
            names |= {f"norm{i}/bn": f"{own}_{norm}", f"conv{i}": f"{own}_{i}_conv"}
        return names

    return _folded(arch, {"stem_1": "conv1_conv", "norm/bn": "post_bn", "logits": "predictions"}, inside)


# Xception


def _xception_torch(arch: str) -> dict[str, str]:
    outside = {"logits": "fc"}
    for i in (1, 2):
        outside |= {f"stem_{i}/conv": f"conv{i}", f"stem_{i}/bn": f"bn{i}"}

    def separable(ours: str, conv: str, norm: str) -> dict[str, str]:
        return {f"{ours}/depthwise": f"{conv}.conv1", f"{ours}/pointwise": f"{conv}.pointwise", f"{ours}/bn": norm}

    def inside(place: _Place) -> dict[str, str]:
        own = f"block{place.number}"
        names = {"projection/conv": f"{own}.skip", "projection/bn": f"{own}.skipbn"}
        for i in (1, 2, 3):
            # `rep` counts ReLUs as well; the first block does not begin with one.
            first = 3 * (i - 1) + (place.number > 1)
            names |= separable(f"conv{i}", f"{own}.rep.{first}", f"{own}.rep.{first + 1}")
            names |= separable(f"{i}", f"conv{2 + i}", f"bn{2 + i}")  # behind the blocks
        return names

    return _folded(arch, outside, inside)


def _xception_keras(arch: str) -> dict[str, str]:
    outside = {"logits": "predictions"}
    for i in (1, 2):
        outside |= {f"stem_{i}/conv": f"block1_conv{i}", f"stem_{i}/bn": f"block1_conv{i}_bn"}

    def inside(place: _Place) -> dict[str, str]:
        names = {"projection/conv": "conv2d#", "projection/bn": "batch_normalization#"}
        for i in (1, 2, 3):
            theirs = f"block{place.number + 1}_sepconv{i}"
            for ours in (f"conv{i}", f"{i}"):
                names |= {f"{ours}/{part}": f"{theirs}/{part}" for part in ("depthwise", "pointwise")}
                names[f"{ours}/bn"] = f"{theirs}_bn"
        return names

    return _folded(arch, outside, inside)


# Inception


def _inception_keras(arch: str) -> dict[str, str]:
    names = {}
    for unit in _units(arch):
        parent, _, leaf = unit.path.rpartition("/")
        names[unit.path] = {"conv": "conv2d#", "bn": "batch_normalization#", "logits": "predictions"}.get(leaf, "")
        if parent == "stage3_conv":
            names[unit.path] = {"conv": "conv_7b", "bn": "conv_7b_bn"}[leaf]
        elif leaf == "project":
            stage, block = re.findall(r"\d+", parent)  # each stage's first module is none of its residual ones
            names[unit.path] = f"block{(35, 17, 8)[int(stage) - 1]}_{int(block) - 1}_conv"
    return names


def _modules(rows: dict[str, str]) -> list[str]:
    """Maps `{"a b": "x y"}` to a.x, a.y, b.x, b.y: names of units in similar modules."""
    return [
        f"{module}.{unit}" for modules, units in rows.items() for module in modules.split() for unit in units.split()
    ]


def _googlenet() -> list[str]:
    modules = " ".join(f"inception{name}" for name in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"))
    return [
        "conv1",
        "conv2",
        "conv3",
        *_modules({modules: "branch1 branch2.0 branch2.1 branch3.0 branch3.1 branch4.1"}),
    ]


def _inception_v3() -> list[str]:
    double = "branch3x3dbl_1 branch3x3dbl_2"
    seven = "branch7x7dbl_1 branch7x7dbl_2 branch7x7dbl_3 branch7x7dbl_4 branch7x7dbl_5"
    split = f"branch3x3_1 branch3x3_2a branch3x3_2b {double} branch3x3dbl_3a branch3x3dbl_3b"
    to8 = "branch3x3_1 branch3x3_2 branch7x7x3_1 branch7x7x3_2 branch7x7x3_3 branch7x7x3_4"
    modules = {
        "Mixed_5b Mixed_5c Mixed_5d": f"branch1x1 branch5x5_1 branch5x5_2 {double} branch3x3dbl_3 branch_pool",
        "Mixed_6a": f"branch3x3 {double} branch3x3dbl_3",
        "Mixed_6b Mixed_6c Mixed_6d Mixed_6e": f"branch1x1 branch7x7_1 branch7x7_2 branch7x7_3 {seven} branch_pool",
        "Mixed_7a": to8,
        "Mixed_7b Mixed_7c": f"branch1x1 {split} branch_pool",
    }
    stem = ["Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3"]
    return [*stem, *_modules(modules)]


def _numbered(prefix: str, numbers: range) -> str:
    return " ".join(f"{prefix}.{number}" for number in numbers)


def _inception_v4() -> list[str]:
    features = {
        "features.3": "conv",
        "features.4": f"branch0.0 branch0.1 {_numbered('branch1', range(4))}",
        "features.5": "conv",
        _numbered("features", range(6, 10)): f"branch0 branch1.0 branch1.1 {_numbered('branch2', range(3))} branch3.1",
        "features.10": f"branch0 {_numbered('branch1', range(3))}",
        _numbered("features", range(11, 18)): (
            f"branch0 {_numbered('branch1', range(3))} {_numbered('branch2', range(5))} branch3.1"
        ),
        "features.18": f"branch0.0 branch0.1 {_numbered('branch1', range(4))}",
        _numbered("features", range(19, 22)): (
            "branch0 branch1_0 branch1_1a branch1_1b branch2_0 branch2_1 branch2_2 branch2_3a branch2_3b branch3.1"
        ),
    }
    return ["features.0", "features.1", "features.2", *_modules(features)]


def _inception_resnet_v2() -> list[str]:
    three = f"branch0 {_numbered('branch1', range(3))}"
    five = f"branch0 branch1.0 branch1.1 {_numbered('branch2', range(3))}"
    modules = {
        "mixed_5b": f"{five} branch3.1",
        _numbered("repeat", range(10)): f"{five} conv2d",
        "mixed_6a": three,
        _numbered("repeat_1", range(20)): f"{three} conv2d",
        "mixed_7a": f"branch0.0 branch0.1 branch1.0 branch1.1 {_numbered('branch2', range(3))}",
        f"{_numbered('repeat_2', range(9))} block8": f"{three} conv2d",
    }
    stem = ["conv2d_1a", "conv2d_2a", "conv2d_2b", "conv2d_3b", "conv2d_4a"]
    return [*stem, *_modules(modules), "conv2d_7b"]


# The peers' units in the order of ours.
_INCEPTION_UNITS = {
    "googlenet_tv": _googlenet,
    "inception_v3": _inception_v3,
    "inception_v4": _inception_v4,
    "inception_resnet_v2": _inception_resnet_v2,
}
