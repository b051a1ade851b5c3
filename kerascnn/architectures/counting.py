"""Parameters and multiply-adds from a row alone, in milliseconds: a search asks for thousands. No network is built.

`models.cost.count` is the truth, which the tests hold these sums to.
"""

from typing import NamedTuple

from kerascnn.architectures.networks import concrete, network
from kerascnn.architectures.shape import PUBLISHED, Shape
from kerascnn.architectures.steps import Trace


class Counted(NamedTuple):
    """All weights, moving statistics of normalizations among them, and the multiply-adds of one image's inference."""

    params: int
    macs: int


def counted(arch: str, image_size: int, num_classes: int, shape: Shape = PUBLISHED) -> Counted:
    """What the network costs that `models.build` makes of the same arguments.

    Raises:
        UserError: A name or an option that the arch does not have.
    """
    found = network(concrete(arch, shape, (image_size, image_size)), num_classes)
    units = Trace(image_size).through((*found.body, *found.head)).units
    return Counted(sum(unit.params for unit in units), sum(unit.macs for unit in units))
