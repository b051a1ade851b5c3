"""What of an arch may be chosen before it is built: everything that decides its weights' shapes and its cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How a network differs from its row; as published by default.

    Args:
        width: Scales every filter count; exactly the published ones at 1.
        width_divisor: What scaled counts are multiples of, and at least.
        filters: Filter counts by the names that `kerascnn archs NAME --layers` prints; what is not named follows `width`.
        blocks: Blocks per stage of a residual network; None for the published ones.
        bottleneck_ratio: Filters inside a residual block per unit of its stage's width; None for the published one.
        stem: "large" (the paper's), "small" (3x3, stride 1, no pooling) or "auto" (small up to 64 px).
        shortcut: "A" (pads with zeros), "B" (1x1 convolution), "auto" (the arch's own) or "none" (a plain network).
        branches: What modules of Inception networks keep: "1x1", "3x3", ...; empty for all. Reductions stay whole.
    """

    width: float = 1.0
    width_divisor: int = 8
    filters: Mapping[str, int] = field(default_factory=dict)
    blocks: Sequence[int] | None = None
    bottleneck_ratio: float | None = None
    stem: str = "auto"
    shortcut: str = "auto"
    branches: Sequence[str] = ()

    @classmethod
    def of(cls, section: Any) -> Shape:
        """The shape that a config's model section has."""
        return cls(**{name: getattr(section, name) for name in SHAPE})


PUBLISHED = Shape()
# The names of the choices.
SHAPE = tuple(field.name for field in fields(Shape))
