"""Counts parameters and multiply-adds from a row, in milliseconds: a search needs thousands. No network is built.

Tests compare these sums with `models.cost.count`.
"""

from typing import NamedTuple

from kerascnn.architectures.networks import concrete, network
from kerascnn.architectures.shape import PUBLISHED, Shape
from kerascnn.architectures.steps import Trace


class Counted(NamedTuple):
    """All weights, moving statistics of normalizations included, and the multiply-adds of the inference of one image."""

    params: int
    macs: int


def counted(arch: str, image_size: int, num_classes: int, shape: Shape = PUBLISHED) -> Counted:
    """Returns the cost of the network that `models.build` makes of the same arguments.

    Raises:
        UserError: A name or an option that the arch does not have.
    """
    found = network(concrete(arch, shape, (image_size, image_size)), num_classes)
    units = Trace(image_size).through((*found.body, *found.head)).units
    return Counted(sum(unit.params for unit in units), sum(unit.macs for unit in units))
