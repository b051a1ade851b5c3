"""Filter counts by name, which `--width` and `--filters` change in a row. No TensorFlow here.

A name is `stage2` (the width of a residual stage), `stage2.3x3_reduce` (that convolution in every block of the stage) or
`stage2_block1.3x3_reduce` (in one block). The most specific name that is given wins.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from math import lcm
from string import ascii_lowercase

from kerascnn.architectures.blocks import ARTICLE_KERNELS
from kerascnn.architectures.rows import (
    Arch,
    ArticleInception,
    ArticleResNet,
    Chain,
    Inception,
    Residual,
    ResNet,
    ResNet9,
    Xception,
)
from kerascnn.architectures.shape import PUBLISHED, Shape
from kerascnn.architectures.tables import row
from kerascnn.errors import UserError


def resolve(arch: str, shape: Shape = PUBLISHED) -> tuple[Arch, dict[str, tuple[int, ...]]]:
    """Returns the row of `arch` with concrete counts, and the convolutions of each filter name.

    Args:
        arch: A name in ARCHS.
        shape: Its width, width_divisor, filters, blocks and bottleneck_ratio count here.

    Returns:
        The row, and per name one count for each convolution that it stands for, in the graph's order.

    Raises UserError for an unknown arch or filter name (with the nearest), a width or count that is not positive, and a
    count that a grouped convolution cannot divide.
    """
    counts = FilterCounts(shape)
    changed = _reshaped(arch, shape.blocks, shape.bottleneck_ratio)
    resolved = _WALKS[type(changed)](changed, counts)
    counts.check(arch)
    return resolved, {name: tuple(found) for name, found in counts.found.items()}


def _reshaped(arch: str, depths: Sequence[int] | None, bottleneck_ratio: float | None) -> Arch:
    """Returns the row with other depths and another bottleneck ratio."""
    found = row(arch)
    if depths is None and bottleneck_ratio is None:
        return found
    if not isinstance(found, ResNet):
        raise UserError(f"--blocks and --bottleneck-ratio are for residual networks of equal blocks, not for {arch}")
    if depths is not None and len(depths) != len(found.depths):
        raise UserError(f"--blocks: {arch} has {len(found.depths)} stages, got {len(depths)} numbers")
    if depths is not None:
        found = replace(found, depths=tuple(depths))
    return found if bottleneck_ratio is None else replace(found, bottleneck_ratio=bottleneck_ratio)


def names(arch: str) -> dict[str, tuple[int, ...]]:
    """Returns the filter names of `arch` with their published counts."""
    return resolve(arch)[1]


class FilterCounts:
    """Turns published counts into concrete ones, and collects all names."""

    def __init__(self, shape: Shape):
        self.width, self.width_divisor, self.given = shape.width, shape.width_divisor, shape.filters
        if self.width <= 0 or self.width_divisor < 1:
            raise UserError(
                f"expected a width above 0 and a width divisor of at least 1, got {self.width:g} and {self.width_divisor}"
            )
        for name, count in self.given.items():
            if count < 1:
                raise UserError(f"--filters {name}: expected a count of at least 1, got {count}")
        self.found: dict[str, list[int]] = {}

    def __call__(self, published: int, *names: str, groups: int = 1, follows: str = "") -> int:
        """Returns the count of `names`, the most specific first.

        A count that `follows` another name is not scaled if that name is given, since `published` was derived from it.
        """
        count = published if follows in self.given else self.scaled(published, groups)
        count = next((self.given[name] for name in names if name in self.given), count)
        if count % groups:
            raise UserError(f"{names[0]}: {count} filters don't divide into {groups} groups")
        for name in reversed(names):
            self.found.setdefault(name, []).append(count)
        return count

    def scaled(self, published: int, groups: int = 1) -> int:
        if self.width == 1:
            return published
        multiple = lcm(self.width_divisor, groups)
        return max(multiple, int(published * self.width / multiple + 0.5) * multiple)

    def check(self, arch: str) -> None:
        for name in self.given.keys() - self.found.keys():
            near = get_close_matches(name, self.found, n=3, cutoff=0.3)
            raise UserError(
                f"{arch} has no filters called {name!r}; perhaps {' or '.join(near) or next(iter(self.found))} "
                f"(`kerascnn archs {arch} --layers` lists all)"
            )


def _resnet(arch: ResNet, counts: FilterCounts) -> ResNet:
    stem = _stem(arch.stem, counts)
    widths, inner = [], []
    for stage, (published, depth) in enumerate(zip(arch.widths, arch.depths, strict=True), 1):
        name = f"stage{stage}"
        widths.append(counts(published, name))
        inside = max(1, round((widths[-1] if name in counts.given else published) * arch.bottleneck_ratio))
        blocks = range(1, depth + 1)
        names = [(f"{name}_block{block}.inner", f"{name}.inner") for block in blocks]
        inner.append(tuple(counts(inside, *pair, groups=arch.groups, follows=name) for pair in names))
    return replace(arch, stem=stem, widths=tuple(widths), inner=tuple(inner))


def _inception(arch: Inception, counts: FilterCounts) -> Inception:
    stem = _stem(arch.stem, counts)
    stages = tuple(_stage(chain, f"stage{i}", counts) for i, chain in enumerate(arch.stages, 1))
    heads = []
    for i, head in enumerate(arch.auxiliary, 1):
        steps = tuple((counts(f, f"aux{i}.conv{j}"), *rest) for j, (f, *rest) in enumerate(head.steps, 1))
        heads.append(replace(head, steps=steps, hidden=head.hidden and counts(head.hidden, f"aux{i}.hidden")))
    return replace(arch, stem=stem, stages=stages, auxiliary=tuple(heads))


def _xception(arch: Xception, counts: FilterCounts) -> Xception:
    """The output of a residual block has its stage's width; inner counts, and the convolutions after the blocks, are free."""

    def block(place: str, name: str, filters: tuple[int, ...], residual: bool) -> tuple[int, ...]:
        part = "conv" if residual else "tail"
        inside = filters[:-1] if residual else filters
        free = [counts(f, f"{place}.{part}{i}", f"{name}.{part}{i}") for i, f in enumerate(inside, 1)]
        return (*free, counts(filters[-1], name)) if residual else tuple(free)

    stages = tuple(
        tuple(
            (block(f"stage{i}_block{j}", f"stage{i}", filters, residual), strides, residual)
            for j, (filters, strides, residual) in enumerate(stage, 1)
        )
        for i, stage in enumerate(arch.stages, 1)
    )
    return replace(arch, stem=_stem(arch.stem, counts), stages=stages)


def _resnet9(arch: ResNet9, counts: FilterCounts) -> ResNet9:
    stages = tuple((counts(filters, f"stage{i}"), residual) for i, (filters, residual) in enumerate(arch.stages, 1))
    return replace(arch, stem=_stem(arch.stem, counts), stages=stages)


def _article_resnet(arch: ArticleResNet, counts: FilterCounts) -> ArticleResNet:
    plain = tuple(counts(filters, f"stage1.conv{i}") for i, filters in enumerate(arch.plain, 1))
    residual = tuple(counts(filters, f"stage{i}") for i, filters in enumerate(arch.residual, 2))
    return replace(arch, stem=_stem(arch.stem, counts), plain=plain, residual=residual)


def _article_inception(arch: ArticleInception, counts: FilterCounts) -> ArticleInception:
    def module(stage: int, block: int, filters: tuple[int, ...]) -> tuple[int, ...]:
        kernels = zip(filters, ARTICLE_KERNELS, strict=True)
        return tuple(
            counts(f, f"stage{stage}_block{block}.{kernel}", f"stage{stage}.{kernel}") for f, kernel in kernels
        )

    stages = tuple(
        tuple(module(i, j, filters) for j, filters in enumerate(stage, 1)) for i, stage in enumerate(arch.stages, 1)
    )
    return replace(arch, stem=_stem(arch.stem, counts), stages=stages)


def _stem(chain: Chain, counts: FilterCounts) -> Chain:
    """Numbers the convolutions of a stem in their order; a single one is called `stem`."""
    number = itertools.count(1)
    alone = len(_convolutions(chain)) == 1

    def walk(steps: Chain) -> Chain:
        return tuple(
            (counts(step[0], "stem" if alone else f"stem.conv{next(number)}"), *step[1:])
            if isinstance(step[0], int)
            else step
            if isinstance(step[0], str)
            else tuple(walk(branch) for branch in step)
            for step in steps
        )

    return walk(chain)


def _stage(chain: Chain, stage: str, counts: FilterCounts) -> Chain:
    out, block = [], 0
    for step in chain:
        if isinstance(step, Residual) or not isinstance(step[0], (int, str)):
            block += 1
            branches = step.branches if isinstance(step, Residual) else step
            places = (f"{stage}_block{block}.", f"{stage}.")
            scaled = _fill(branches, labels(branches), places, counts)
            out.append(replace(step, branches=scaled) if isinstance(step, Residual) else scaled)
        elif isinstance(step[0], int):
            out.append((counts(step[0], f"{stage}.conv"), *step[1:]))
        else:
            out.append(step)
    return tuple(out)


def _fill(branches: Chain, labelled: list, places: tuple[str, str], counts: FilterCounts) -> Chain:
    def fill(step, label):
        if isinstance(step[0], int):
            return (counts(step[0], *(place + label for place in places)), *step[1:])
        return step if isinstance(step[0], str) else _fill(step, label, places, counts)

    pairs = zip(branches, labelled, strict=True)
    return tuple(tuple(fill(*pair) for pair in zip(branch, label, strict=True)) for branch, label in pairs)


def labels(branches: Chain) -> list[list]:
    """Returns a label for every convolution of a block, nested like the branches (None for a pooling).

    The name of a branch is its largest kernel: `3x3`, the next one `3x3b`; a preceding 1x1 is `3x3_reduce`, two following
    convolutions are `3x3_1` and `3x3_2`, split ones `3x3_1x3` and `3x3_3x1`; after a pooling: `pool_proj`.
    """
    taken: set[str] = set()
    return [_branch_labels(branch, taken) for branch in branches]


def _branch_labels(branch: Chain, taken: set[str]) -> list:
    kernels = [_sides(step) for step in _convolutions(branch)]
    if not kernels:
        return [None] * len(branch)
    pooled, reduces = isinstance(branch[0][0], str), len(branch) > 1 and kernels[0] == (1, 1)
    label = "pool_proj" if pooled else _text(map(max, zip(*kernels, strict=True)))
    label += next(suffix for suffix in ("", *ascii_lowercase[1:]) if label + suffix not in taken)
    taken.add(label)
    alone = len(kernels) - (reduces and not pooled) == 1
    number = itertools.count(1)

    def name(position: int, step: Chain):
        if isinstance(step[0], str):
            return None
        if isinstance(step[0], tuple):
            return [[f"{label}_{_text(_sides(conv))}" for conv in inner] for inner in step]
        if position == 0 and reduces:
            return f"{label}_reduce"
        return label if alone else f"{label}_{next(number)}"

    return [name(position, step) for position, step in enumerate(branch)]


def _convolutions(branch: Chain) -> list[Chain]:
    """Returns all convolutions of a branch, including those of its splits."""
    split = [conv for step in branch if isinstance(step[0], tuple) for inner in step for conv in _convolutions(inner)]
    return [step for step in branch if isinstance(step[0], int)] + split


def _sides(conv: Chain) -> tuple[int, int]:
    kernel = conv[1]
    return (kernel, kernel) if isinstance(kernel, int) else kernel


def _text(sides: Iterable[int]) -> str:
    return "x".join(map(str, sides))


_WALKS: dict[type[Arch], Callable] = {
    ResNet: _resnet,
    ResNet9: _resnet9,
    Inception: _inception,
    Xception: _xception,
    ArticleResNet: _article_resnet,
    ArticleInception: _article_inception,
}
