"""The choices about an arch before it is built: all that determine its weights' shapes and its cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The differences of a network from its row; none by default.

    Args:
        width: Factor of every filter count; exactly the published counts at 1.
        width_divisor: Scaled counts are multiples of this number, and at least this number.
        filters: Filter counts by the names of `kerascnn archs NAME --layers`; other counts follow `width`.
        blocks: Blocks per stage of a residual network; None for the published ones.
        bottleneck_ratio: Filters inside a residual block relative to its stage's width; None for the published ratio.
        stem: "large" (the paper's), "small" (3x3, stride 1, no pooling) or "auto" (small up to 64 px).
        shortcut: "A" (pads with zeros), "B" (1x1 convolution), "auto" (the arch's own) or "none" (a plain network).
        branches: Branches that modules of Inception networks keep: "1x1", "3x3", ...; empty for all. Reductions are not
            changed.
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
        """Returns the shape of a config's model section."""
        return cls(**{name: getattr(section, name) for name in SHAPE})


PUBLISHED = Shape()
# The names of the choices.
SHAPE = tuple(field.name for field in fields(Shape))
