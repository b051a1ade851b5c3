"""Looks at a comparison while its seeds come in: after which numbers of seeds, and at which level each one decides.

All looks share the test images, and each shares its seeds with those before. A level is that of a look's interval; the intervals
of all looks together hold the true difference with 95 %, for any share of the images in the variance, whenever one stops.
"""

from __future__ import annotations

from dataclasses import dataclass

from kerascnn.errors import UserError

LOOKS = (3, 5, 8, 12, 20)
MOST_PAIRS = 4
# (number of looks, verdicts that hold together) -> the error of each look's interval.
# python -m kerascnn.statistics.simulate_looks --rounds 100000 (experiments/results/looks.md)
LEVELS: dict[tuple[int, int], tuple[float, ...]] = {}


@dataclass(frozen=True)
class Look:
    """One look.

    Args:
        number: 1 for the first.
        planned: Numbers of seeds of all looks.
        pairs: Number of verdicts that hold together.
    """

    number: int
    planned: tuple[int, ...]
    pairs: int

    @property
    def seeds(self) -> int:
        """Number of seeds of this look."""
        return self.planned[self.number - 1]

    @property
    def last(self) -> bool:
        """Whether it is the last one that is planned."""
        return self.number == len(self.planned)

    @property
    def level(self) -> float:
        """Level of the interval of each verdict."""
        return 1 - LEVELS[len(self.planned), self.pairs][self.number - 1]

    def said(self) -> str:
        """Returns what this look is, for the reader."""
        every = (
            ", ".join(map(str, self.planned[:-1])) + (" and " if len(self.planned) > 1 else "") + str(self.planned[-1])
        )
        return (
            f"look {self.number} of {len(self.planned)}, fixed beforehand at {every} seeds: the intervals of all looks hold"
            f" together with 95 %; this comparison has read test {self.number} time{'s' if self.number > 1 else ''}"
        )


def planned(most: int, archs: int) -> list[Look]:
    """Returns the looks up to `most` seeds.

    Raises:
        UserError: Fewer than three seeds, or more archs than there are levels for.
    """
    counts = tuple(count for count in LOOKS if count <= most)
    if not counts:
        raise UserError(f"--max-seeds {most}: the first look takes {LOOKS[0]} seeds")
    if archs - 1 > MOST_PAIRS:
        raise UserError(f"--until-decided: expected at most {MOST_PAIRS + 1} archs, got {archs}")
    return [Look(number, counts, archs - 1) for number in range(1, len(counts) + 1)]
