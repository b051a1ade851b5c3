"""Parameters and multiply-adds from a row alone, in microseconds: a search asks for thousands. No network is built.

`cost.count` is the truth, which the tests hold these sums to; networks that are not residual or Inception ones have no sums.
"""

from collections.abc import Mapping, Sequence

from kerascnn.architectures import branches as _branches
from kerascnn.architectures import filters as _filters
from kerascnn.architectures.rows import Chain, Inception, Residual, ResNet
from kerascnn.architectures.steps import after, chosen_stem
from kerascnn.architectures.tables import row
from kerascnn.errors import UserError

# What a normalization holds for each channel: gamma, beta, moving mean and variance.
NORM = 4


def counted(
    arch: str,
    image_size: int,
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
) -> tuple[int, int] | None:
    """All weights and the multiply-adds of one image of the network that `models.build` makes of the same options.

    Returns:
        (parameters, multiply-adds); None where these sums don't know the network: `cost.count` does.

    Raises:
        UserError: A name or an option that the arch does not have.
    """
    if not isinstance(row(arch), ResNet | Inception):
        return None
    found, _ = _filters.resolve(
        arch,
        width=width,
        width_divisor=width_divisor,
        filters=filters,
        blocks=blocks,
        bottleneck_ratio=bottleneck_ratio,
    )
    if branches:
        found = _branches.only(found, arch, branches)
    steps = chosen_stem(found, (image_size, image_size, 3), stem)
    if isinstance(found, ResNet):
        return _resnet(found, steps, image_size, num_classes, found.shortcut if shortcut == "auto" else shortcut)
    if isinstance(found, Inception):
        return _inception(found, steps, image_size, num_classes)
    return None


class _Sums:
    """Layers one behind the other: what they hold and compute so far, and the shape of their output."""

    def __init__(self, side: int) -> None:
        self.side, self.channels, self.params, self.macs = side, 3, 0, 0

    def conv(self, filters: int, kernel, strides=1, padding="symmetric", *, groups=1, norm=NORM, bias=False) -> None:
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        self.side = after(self.side, kernel, strides, padding)
        weights = height * width * (self.channels // groups) * filters
        self.params += weights + (norm + bias) * filters
        self.macs += weights * self.side**2
        self.channels = filters

    def dense(self, units: int, inputs: int) -> None:
        self.params += (inputs + 1) * units
        self.macs += inputs * units

    def normalize(self) -> None:
        self.params += NORM * self.channels

    def chain(self, steps: Chain, *, norm: int = NORM, bias: bool = False) -> None:
        """Steps as `rows` describes them."""
        for step in steps:
            if isinstance(step, Residual):
                inputs = self.channels
                self.side_by_side(step.branches, norm)
                self.conv(inputs, 1, norm=0, bias=True)
            elif isinstance(step[0], int):
                self.conv(*step, norm=norm, bias=bias)
            elif isinstance(step[0], str):
                self.side = after(self.side, *step[1:])
            else:
                self.side_by_side(step, norm)

    def side_by_side(self, branches: Chain, norm: int) -> None:
        """Branches, concatenated."""
        side, channels, ends = self.side, self.channels, []
        for branch in branches:
            self.side, self.channels = side, channels
            self.chain(branch, norm=norm)
            ends.append(self.channels)
        self.channels = sum(ends)


def _inception(arch: Inception, stem: Chain, side: int, classes: int) -> tuple[int, int]:
    norm = NORM if arch.scale else NORM - 1
    sums = _Sums(side)
    sums.chain(stem, norm=norm)
    for steps in arch.stages:
        sums.chain(steps, norm=norm)
    sums.dense(classes, sums.channels)
    return sums.params, sums.macs


def _resnet(arch: ResNet, stem: Chain, side: int, classes: int, shortcut: str) -> tuple[int, int]:
    sums = _Sums(side)
    # A pre-activation network begins and ends its branches without a normalization.
    sums.chain(stem, norm=0 if arch.pre_activation else NORM, bias=arch.use_bias)
    for stage, depth in enumerate(arch.depths):
        for block in range(depth):
            _block(sums, arch, stage, block, shortcut)
    if arch.pre_activation:
        sums.normalize()
    sums.dense(classes, sums.channels)
    return sums.params, sums.macs


def _block(sums: _Sums, arch: ResNet, stage: int, block: int, shortcut: str) -> None:
    last = arch.depths[stage] - 1
    place = (stage < len(arch.depths) - 1, last) if arch.stride_last else (stage > 0, 0)
    strides = 2 if place == (True, block) else 1
    outside, inner, before = arch.widths[stage] * arch.expansion, arch.inner[stage][block], arch.pre_activation
    side, channels = sums.side, sums.channels
    if shortcut == "A" and outside < channels:
        raise UserError(f"a shortcut of kind A cannot narrow {channels} channels to {outside}; --shortcut B can")
    if shortcut not in ("A", "none") and (
        channels != outside or (strides > 1 and not (shortcut == "pool" and channels == outside))
    ):
        sums.conv(outside, 1, strides, norm=0 if before else NORM, bias=arch.use_bias)
    sums.side, sums.channels = side, channels
    if before:
        sums.normalize()
    # In pre-activation blocks a convolution's normalization is the next one's, and only the last has a bias.
    bias = arch.use_bias and not before
    if arch.expansion == 1:
        sums.conv(inner, 3, strides, bias=bias)
        sums.conv(outside, 3, norm=0 if before else NORM, bias=arch.use_bias)
    else:
        first, second = (strides, 1) if arch.stride_first else (1, strides)
        sums.conv(inner, 1, first, bias=bias)
        sums.conv(inner, 3, second, groups=arch.groups, bias=bias)
        sums.conv(outside, 1, norm=0 if before else NORM, bias=arch.use_bias)
    if arch.squeeze:
        narrow = max(1, outside // arch.squeeze)
        sums.dense(narrow, outside)
        sums.dense(outside, narrow)
