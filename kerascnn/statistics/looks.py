"""Looks at a comparison while its seeds come in: after which numbers of seeds, and at which level each one decides.

All looks share the test images, and each shares its seeds with those before. A level is that of a look's interval; the intervals
of all looks together hold the true difference with 95 %, for any share of the images in the variance, whenever one stops.
"""

from __future__ import annotations

from dataclasses import dataclass

from kerascnn.errors import UserError

LOOKS = (3, 5, 8, 12, 20)
MOST_PAIRS = 4
SMALLEST = 1e-9  # error of a look that is made
# (number of looks, verdicts that hold together) -> the error of each look's interval.
# python -m kerascnn.statistics.simulate_looks --rounds 100000 (experiments/results/looks.md)
LEVELS: dict[tuple[int, int], tuple[float, ...]] = {
    (1, 1): (0.0198,),
    (1, 2): (0.00327,),
    (1, 3): (0.000775,),
    (1, 4): (0.000264,),
    (2, 1): (0.00184, 0.0252),
    (2, 2): (9.98e-05, 0.00902),
    (2, 3): (8.82e-06, 0.00451),
    (2, 4): (1.38e-06, 0.00261),
    (3, 1): (0.000164, 0.0104, 0.0251),
    (3, 2): (1.77e-06, 0.00323, 0.0106),
    (3, 3): (7.29e-08, 0.00144, 0.00654),
    (3, 4): (2.5e-09, 0.000779, 0.00444),
    (4, 1): (1.56e-05, 0.00528, 0.0151, 0.025),
    (4, 2): (6.43e-08, 0.00127, 0.00629, 0.0113),
    (4, 3): (4.54e-10, 0.000534, 0.00374, 0.00719),
    (4, 4): (1.48e-11, 0.00024, 0.00228, 0.00509),
    (5, 1): (2.81e-07, 0.00182, 0.00759, 0.0142, 0.0262),
    (5, 2): (3.4e-11, 0.000347, 0.00299, 0.00601, 0.0121),
    (5, 3): (5.52e-14, 0.000132, 0.00179, 0.00374, 0.00756),
    (5, 4): (5.99e-17, 6.2e-05, 0.00114, 0.00277, 0.00552),
}


@dataclass(frozen=True)
class PlannedLook:
    """One look.

    Args:
        number: 1 for the first.
        planned: Numbers of seeds of all looks.
        errors: The error of each look's interval.
    """

    number: int
    planned: tuple[int, ...]
    errors: tuple[float, ...]

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
        return 1 - self.errors[self.number - 1]

    def said(self) -> str:
        """Returns what this look is, for the reader."""
        every = (
            ", ".join(map(str, self.planned[:-1])) + (" and " if len(self.planned) > 1 else "") + str(self.planned[-1])
        )
        return (
            f"look {self.number} of {len(self.planned)}, fixed beforehand at {every} seeds: the intervals of all looks hold"
            f" together with 95 %; this comparison has read test {self.number} time{'s' if self.number > 1 else ''}"
        )


def planned(most: int, archs: int) -> list[PlannedLook]:
    """Returns the looks up to `most` seeds, without those that could only err in less than one of 10^9 comparisons.

    Of several verdicts, three seeds know too little of the spread for a level that all of them keep.

    Raises:
        UserError: Fewer than three seeds, or more archs than there are levels for.
    """
    counts = tuple(count for count in LOOKS if count <= most)
    if not counts:
        raise UserError(f"--max-seeds {most}: the first look takes {LOOKS[0]} seeds")
    if archs - 1 > MOST_PAIRS:
        raise UserError(f"--until-decided: expected at most {MOST_PAIRS + 1} archs, got {archs}")
    kept = [each for each in zip(counts, LEVELS[len(counts), archs - 1], strict=True) if each[1] >= SMALLEST]
    seeds, errors = zip(*kept, strict=True)
    return [PlannedLook(number, seeds, errors) for number in range(1, len(kept) + 1)]
