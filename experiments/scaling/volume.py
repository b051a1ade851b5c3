"""What the machines of one training tell each other in a step, counted from the rows of the networks. No TensorFlow."""

from typing import NamedTuple

from kerascnn.architectures import tables
from kerascnn.architectures.networks import concrete, network
from kerascnn.architectures.shape import PUBLISHED
from kerascnn.architectures.steps import Trace

FLOAT32 = 4  # bytes: gradients and statistics are float32 with every --dtype, as the variables are


class Volume(NamedTuple):
    """What a step of data-parallel training reduces over all machines.

    Attributes:
        trainable: Weights with a gradient.
        statistics: Moving means and variances.
        norms: Normalization layers.
    """

    trainable: int
    statistics: int
    norms: int

    @property
    def gradients(self) -> int:
        """Bytes of one gradient."""
        return FLOAT32 * self.trainable

    @property
    def plain(self) -> int:
        """Bytes of a step where each machine normalizes by its own images, and moving statistics are averaged."""
        return self.gradients + FLOAT32 * self.statistics

    @property
    def synchronized(self) -> int:
        """Bytes of a step with synchronized normalization.

        Forward, each layer needs sum, sum of squares and number of its values from all machines; backward, the gradients of the
        two sums: packed, one vector of 2 C + 1 numbers and one of 2 C. Moving statistics are then equal everywhere.
        """
        return self.gradients + FLOAT32 * (2 * self.statistics + self.norms)

    @property
    def rounds(self) -> int:
        """Reductions of a step that wait for each other, with synchronized normalization packed: the layers', the gradient's."""
        return 2 * self.norms + 1


class _Norms(Trace):
    """A trace that also remembers the channels of normalizations."""

    def __init__(self, side: int) -> None:
        super().__init__(side)
        self.channels_of_norms: list[int] = []

    def norm(self, path: str, scale: bool = True) -> None:
        self.channels_of_norms.append(self.channels)
        super().norm(path, scale)


def volume(arch: str) -> Volume:
    """Returns the volume of a published network: 10 classes up to 64 px, else 1,000.

    Raises:
        UserError: A name that is not in `kerascnn archs`.
    """
    size = tables.row(arch).image_size
    found = network(concrete(arch, PUBLISHED, (size, size)), 10 if size <= tables.SMALL_IMAGE else 1000)
    trace = _Norms(size)
    trace.through((*found.body, *found.head))
    statistics = 2 * sum(trace.channels_of_norms)
    return Volume(sum(unit.params for unit in trace.units) - statistics, statistics, len(trace.channels_of_norms))
