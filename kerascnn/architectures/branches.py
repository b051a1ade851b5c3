"""Inception modules without some of their branches, to measure the value of each kernel size. No TensorFlow here."""

from collections.abc import Sequence
from dataclasses import replace

from kerascnn.architectures import filters
from kerascnn.architectures.rows import Arch, Chain, Inception, Residual
from kerascnn.errors import UserError


def only(row: Arch, name: str, kept: Sequence[str]) -> Arch:
    """Returns `row` with only the branches `kept` in every module; reductions, which halve the image, are not changed.

    The name of a branch is that of `filters.labels`: its largest kernel, or `pool_proj`.

    Args:
        row: With concrete counts.
        name: Name of the arch, for messages.
        kept: Names of branches.

    Raises:
        UserError: The network has no modules, a name is not one of its branches, or a module would have no branches.
    """
    if not isinstance(row, Inception):
        raise UserError(f"--branches: {name} has no Inception modules")
    modules = [step for chain in row.stages for step in chain if _is_module(step)]
    known = sorted({label for module in modules for label in _names(_branches(module))})
    for label in kept:
        if label not in known:
            raise UserError(f"--branches {label}: {name} has {', '.join(known)}")
    stages = tuple(
        tuple(_kept(step, name, kept) if _is_module(step) else step for step in chain) for chain in row.stages
    )
    return replace(row, stages=stages)


def _branches(step: Chain | Residual) -> Chain:
    return step.branches if isinstance(step, Residual) else step


def _is_module(step: Chain | Residual) -> bool:
    """Returns whether branches keep the image's size: every one ends with a convolution of stride 1."""
    if not isinstance(step, Residual) and not isinstance(step[0], tuple):
        return False
    return all(_label(names) and _keeps_size(branch) for branch, names in _labelled(_branches(step)))


def _keeps_size(branch: Chain) -> bool:
    return all(isinstance(step[0], tuple) or (*step, 1)[2] == 1 for step in branch)


def _kept(step: Chain | Residual, name: str, kept: Sequence[str]) -> Chain | Residual:
    branches = tuple(branch for branch, names in _labelled(_branches(step)) if _label(names) in kept)
    if not branches:
        raise UserError(
            f"--branches {' '.join(kept)}: a module of {name} has {', '.join(_names(_branches(step)))} only"
        )
    return replace(step, branches=branches) if isinstance(step, Residual) else branches


def _labelled(branches: Chain) -> list[tuple[Chain, list]]:
    return list(zip(branches, filters.labels(branches), strict=True))


def _names(branches: Chain) -> list[str]:
    return [_label(names) for _, names in _labelled(branches)]


def _label(names: list) -> str:
    """Returns the branch's name from those of its convolutions: `3x3` of `3x3_reduce`; empty for a single pooling."""
    flat = [name for name in names if name is not None]
    while flat and isinstance(flat[0], list):
        flat = [inner for outer in flat for inner in outer]
    if not flat:
        return ""
    return flat[0] if flat[0].startswith("pool_proj") else flat[0].partition("_")[0]
