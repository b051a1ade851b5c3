"""Predicts the steps of a data-parallel training from a step of one machine and a link. No TensorFlow.

Alpha-beta model of a ring (Patarasuk and Yuan, 2009; Thakur, Rabenseifner and Gropp, 2005): of n machines each sends
2 (n - 1) / n of the volume, in 2 (n - 1) turns that cost one latency each.
"""

from typing import NamedTuple

BACKWARD = 2 / 3  # share of a step during which gradients appear: backward is twice the multiply-adds of forward


class Link(NamedTuple):
    """What joins neighbours of a ring.

    Args:
        name: In tables.
        bits: Bits per second in each direction.
        latency: Seconds of one turn.
    """

    name: str
    bits: float
    latency: float


# 50 us is what a small message takes over TCP in one rack, 10 us within a machine: assumed, not measured.
ETHERNET = tuple(Link(f"{rate} Gbit/s", rate * 1e9, 50e-6) for rate in (1, 10, 25, 100))
# 600 GB/s of an A100 are both directions together, by NVIDIA's data sheet.
NVLINK = Link("NVLink (A100)", 8 * 300e9, 10e-6)
LINKS = (*ETHERNET, NVLINK)


class Step(NamedTuple):
    """Seconds of a predicted step: all of the reduction beside backward, and none of it."""

    hidden: float
    bare: float


def ring(size: int, machines: int, link: Link, rounds: int = 1) -> float:
    """Returns the seconds of an all-reduce.

    Args:
        size: Bytes.
        machines: How many; one needs none.
        link: The slowest link between neighbours.
        rounds: Reductions one after the other that have these bytes together.
    """
    if machines == 1:
        return 0.0
    turns = 2 * (machines - 1)
    return turns / machines * 8 * size / link.bits + rounds * turns * link.latency


def step(alone: float, reduction: float) -> Step:
    """Returns a step's range.

    Args:
        alone: Seconds of a machine's own part.
        reduction: Seconds of the all-reduce.
    """
    return Step(alone + max(0.0, reduction - BACKWARD * alone), alone + reduction)


def efficiency(alone: float, found: Step) -> tuple[float, float]:
    """Returns the least and the greatest share of a step that is a machine's own work."""
    return alone / found.bare, alone / found.hidden
