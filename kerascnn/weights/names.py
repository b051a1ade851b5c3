"""Which layer of a published weight file belongs to which of ours, computed from the rows. No TensorFlow here.

A table maps the path of each of our layers that has weights (`stage1_block2/conv1/bn`) to the peer's name for it
(`layer1.1.bn1`). `torch` holds torchvision's and timm's names, which agree where both have a network; `keras` those of
keras.applications, with `conv2d#3` for the fourth convolution (in the order of creation) that has no name of its own.
"""

from collections.abc import Iterator

from kerascnn.architectures.rows import Arch, Chain, Inception, Residual, ResNet, Xception
from kerascnn.architectures.tables import ARCHS, SMALL_IMAGE

# What `keras.applications` calls the networks that a row computes, and the file that its downloader writes.
KERAS = {
    "resnet50_keras": ("ResNet50", "resnet50_weights_tf_dim_ordering_tf_kernels.h5"),
    "resnetv2_50_keras": ("ResNet50V2", "resnet50v2_weights_tf_dim_ordering_tf_kernels.h5"),
    "inception_v3_keras": ("InceptionV3", "inception_v3_weights_tf_dim_ordering_tf_kernels.h5"),
    "inception_resnet_v2_keras": ("InceptionResNetV2", "inception_resnet_v2_weights_tf_dim_ordering_tf_kernels.h5"),
    "xception_keras": ("Xception", "xception_weights_tf_dim_ordering_tf_kernels.h5"),
}
# Layers that only training needs and that a single-output network leaves out, by the beginning of their names.
AUXILIARY = {"googlenet_tv": ("aux1.", "aux2."), "inception_v3": ("AuxLogits.",)}


def torch(arch: str) -> dict[str, str]:
    """Our layers to torchvision's or timm's; empty where neither has this network."""
    row = ARCHS[arch]
    if isinstance(row, ResNet) and row.image_size > SMALL_IMAGE and arch not in KERAS:
        return _preact_torch(row) if row.pre_activation else _resnet_torch(row)
    if arch == "xception" and isinstance(row, Xception):
        return _xception_torch(row)
    if arch in _INCEPTION_UNITS and isinstance(row, Inception):
        head = {"inception_v4": "last_linear", "inception_resnet_v2": "classif"}.get(arch, "fc")
        return {**_conv_and_norm(row, _INCEPTION_UNITS[arch]()), "logits": head}
    return {}


def keras(arch: str) -> dict[str, str]:
    """Our layers to keras.applications'; empty for rows that are not its."""
    if arch not in KERAS:
        return {}
    row = ARCHS[arch]
    if isinstance(row, ResNet):
        names = _preact_keras(row) if row.pre_activation else _resnet_keras(row)
    elif isinstance(row, Xception):
        names = _xception_keras(row)
    else:
        names = _inception_keras(row)
    return {**names, "logits": "predictions"}


def _blocks(row: ResNet) -> Iterator[tuple[int, int, bool]]:
    """Stage and block, both from 1, and whether its shortcut has weights."""
    channels = next(step[0] for step in reversed(row.stem) if isinstance(step[0], int))
    for stage, (depth, width) in enumerate(zip(row.depths, row.widths, strict=True), 1):
        for block in range(1, depth + 1):
            yield (
                stage,
                block,
                block == 1 and (channels != width * row.expansion or (stage > 1 and not row.stride_last)),
            )
            channels = width * row.expansion


def _resnet_torch(row: ResNet) -> dict[str, str]:
    convs = sum(isinstance(step[0], int) for step in row.stem)
    stem = [("conv1", "bn1")]
    if convs > 1:
        stem = [("conv1.0", "conv1.1"), ("conv1.3", "conv1.4"), ("conv1.6", "bn1"), ("maxpool.0", "maxpool.1")][:convs]
    names: dict[str, str] = {}
    for i, (conv, norm) in enumerate(stem, 1):
        names |= {f"stem_{i}/conv": conv, f"stem_{i}/bn": norm}
    first = 1 if row.shortcut == "D" else 0  # behind the shortcut's pooling
    for stage, block, projects in _blocks(row):
        ours, theirs = f"stage{stage}_block{block}", f"layer{stage}.{block - 1}"
        for i in range(1, 4 if row.expansion > 1 else 3):
            names |= {f"{ours}/conv{i}/conv": f"{theirs}.conv{i}", f"{ours}/conv{i}/bn": f"{theirs}.bn{i}"}
        if row.squeeze:
            names |= {f"{ours}/gate/reduce": f"{theirs}.se.fc1", f"{ours}/gate/expand": f"{theirs}.se.fc2"}
        if projects:
            names[f"{ours}/projection/conv"] = f"{theirs}.downsample.{first}"
            names[f"{ours}/projection/bn"] = f"{theirs}.downsample.{first + 1}"
    return {**names, "logits": "fc"}


def _preact_torch(row: ResNet) -> dict[str, str]:
    names = {"stem_1": "stem.conv"}
    for stage, block, projects in _blocks(row):
        ours, theirs = f"stage{stage}_block{block}", f"stages.{stage - 1}.blocks.{block - 1}"
        for i in (1, 2, 3):
            names |= {f"{ours}/norm{i}/bn": f"{theirs}.norm{i}", f"{ours}/conv{i}": f"{theirs}.conv{i}"}
        if projects:
            names[f"{ours}/projection"] = f"{theirs}.downsample.conv"
    return {**names, "norm/bn": "norm", "logits": "head.fc"}


def _resnet_keras(row: ResNet) -> dict[str, str]:
    names = {"stem_1/conv": "conv1_conv", "stem_1/bn": "conv1_bn"}
    for stage, block, projects in _blocks(row):
        ours, theirs = f"stage{stage}_block{block}", f"conv{stage + 1}_block{block}"
        for own, i in (("conv1", 1), ("conv2", 2), ("conv3", 3), *([("projection", 0)] if projects else [])):
            names |= {f"{ours}/{own}/conv": f"{theirs}_{i}_conv", f"{ours}/{own}/bn": f"{theirs}_{i}_bn"}
    return names


def _preact_keras(row: ResNet) -> dict[str, str]:
    names = {"stem_1": "conv1_conv"}
    for stage, block, projects in _blocks(row):
        ours, theirs = f"stage{stage}_block{block}", f"conv{stage + 1}_block{block}"
        for i, norm in ((1, "preact_bn"), (2, "1_bn"), (3, "2_bn")):
            names |= {f"{ours}/norm{i}/bn": f"{theirs}_{norm}", f"{ours}/conv{i}": f"{theirs}_{i}_conv"}
        if projects:
            names[f"{ours}/projection"] = f"{theirs}_0_conv"
    return {**names, "norm/bn": "post_bn"}


def _xception_blocks(row: Xception) -> Iterator[tuple[str, int, int, bool, bool]]:
    """Our block's name, its number from 1, its separable convolutions, whether it is residual, whether it projects."""
    number, channels = 0, row.stem[-1][0]
    for stage, chain in enumerate(row.stages, 1):
        for block, (filters, strides, residual) in enumerate(chain, 1):
            number += 1
            projects = residual and (strides > 1 or channels != filters[-1])
            yield f"stage{stage}_block{block}", number, len(filters), residual, projects
            channels = filters[-1]


def _xception_torch(row: Xception) -> dict[str, str]:
    names = {"stem_1/conv": "conv1", "stem_1/bn": "bn1", "stem_2/conv": "conv2", "stem_2/bn": "bn2"}
    for ours, number, convs, residual, projects in _xception_blocks(row):
        for i in range(1, convs + 1):
            # `rep` counts its ReLUs as well; the first block has none in front.
            place = 3 * (i - 1) + (number > 1)
            conv, norm = f"block{number}.rep.{place}", f"block{number}.rep.{place + 1}"
            unit = f"{ours}/conv{i}" if residual else f"{ours}_{i}"
            if not residual:
                conv, norm = f"conv{2 + i}", f"bn{2 + i}"
            names |= {
                f"{unit}/depthwise": f"{conv}.conv1",
                f"{unit}/pointwise": f"{conv}.pointwise",
                f"{unit}/bn": norm,
            }
        if projects:
            names[f"{ours}/projection/conv"] = f"block{number}.skip"
            names[f"{ours}/projection/bn"] = f"block{number}.skipbn"
    return {**names, "logits": "fc"}


def _xception_keras(row: Xception) -> dict[str, str]:
    names: dict[str, str] = {}
    unnamed = 0
    for i in (1, 2):
        names |= {f"stem_{i}/conv": f"block1_conv{i}", f"stem_{i}/bn": f"block1_conv{i}_bn"}
    for ours, number, convs, residual, projects in _xception_blocks(row):
        for i in range(1, convs + 1):
            unit, theirs = f"{ours}/conv{i}" if residual else f"{ours}_{i}", f"block{number + 1}_sepconv{i}"
            names |= {f"{unit}/{part}": f"{theirs}/{part}" for part in ("depthwise", "pointwise")}
            names[f"{unit}/bn"] = f"{theirs}_bn"
        if projects:
            names[f"{ours}/projection/conv"] = f"conv2d#{unnamed}"
            names[f"{ours}/projection/bn"] = f"batch_normalization#{unnamed}"
            unnamed += 1
    return names


def _units(row: Inception) -> Iterator[str]:
    """Paths of our units of convolution and normalization in the order of the graph; those on `/project` have no norm."""
    for i, step in enumerate(row.stem, 1):
        yield from _convs(step, f"stem_{i}")
    for stage, chain in enumerate(row.stages, 1):
        block = 0
        for step in chain:
            block += isinstance(step, Residual) or isinstance(step[0], tuple)
            if isinstance(step, Residual):
                yield from _convs(step.branches, f"stage{stage}_block{block}/mixed")
                yield f"stage{stage}_block{block}/project"
            elif isinstance(step[0], tuple):
                yield from _convs(step, f"stage{stage}_block{block}")
            else:
                yield from _convs(step, f"stage{stage}_conv")


def _convs(step: Chain, path: str) -> Iterator[str]:
    if isinstance(step[0], int):
        yield path
    elif isinstance(step[0], tuple):
        for i, branch in enumerate(step, 1):
            for j, inner in enumerate(branch, 1):
                yield from _convs(inner, f"{path}/branch{i}_{j}")


def _conv_and_norm(row: Inception, peers: list[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    for unit, peer in zip(_units(row), peers, strict=True):
        if unit.endswith("/project"):
            names[unit] = peer
        else:
            names |= {f"{unit}/conv": f"{peer}.conv", f"{unit}/bn": f"{peer}.bn"}
    return names


def _inception_keras(row: Arch) -> dict[str, str]:
    assert isinstance(row, Inception)
    names: dict[str, str] = {}
    unnamed, residuals = 0, [0, 0, 0]
    for unit in _units(row):
        if unit.endswith("/project"):
            stage = int(unit[len("stage")]) - 1
            residuals[stage] += 1
            names[unit] = f"block{(35, 17, 8)[stage]}_{residuals[stage]}_conv"
        elif unit == "stage3_conv":
            names |= {f"{unit}/conv": "conv_7b", f"{unit}/bn": "conv_7b_bn"}
        else:
            names |= {f"{unit}/conv": f"conv2d#{unnamed}", f"{unit}/bn": f"batch_normalization#{unnamed}"}
            unnamed += 1
    return names


def _modules(rows: dict[str, str]) -> list[str]:
    """`{"a b": "x y"}` to a.x, a.y, b.x, b.y: names of units in modules that are alike."""
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


# The peers' units in the order of `_units`.
_INCEPTION_UNITS = {
    "googlenet_tv": _googlenet,
    "inception_v3": _inception_v3,
    "inception_v4": _inception_v4,
    "inception_resnet_v2": _inception_resnet_v2,
}
