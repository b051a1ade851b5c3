"""How many candidates a search trains to which epoch: Hyperband's brackets of halving (Li et al., 2018), as arithmetic.

A bracket has rungs: all its candidates train to the first rung's epoch, the best third of them to the next one's, and so on.
Bracket n has n + 1 rungs. A round begins with the bracket that has most of them and ends with bracket 0, random search.
"""

import math
from collections.abc import Sequence

FACTOR = 3

Rung = tuple[int, int]  # candidates, and the epoch that they are trained to


def count(epochs: int) -> int:
    """How many brackets a round has where a whole training has `epochs` epochs."""
    found, left = 0, float(epochs)
    while left >= 1:
        found, left = found + 1, left / FACTOR
    return found


def rungs(number: int, epochs: int) -> list[Rung]:
    """The rungs of bracket `number`: every bracket of a round costs about the same."""
    last = math.ceil(1 + math.log(epochs, FACTOR)) / (number + 1)
    return [
        (math.ceil(last * FACTOR ** (number - rung)), math.ceil(epochs / FACTOR ** (number - rung)))
        for rung in range(number + 1)
    ]


def sizes(number: int, epochs: int, left: int) -> tuple[int, ...]:
    """The candidates of each rung of bracket `number` where only `left` of them may be new."""
    return cut([size for size, _ in rungs(number, epochs)], left)


def cut(sizes: Sequence[int], left: int) -> tuple[int, ...]:
    """The sizes of a bracket's rungs where only `left` candidates are left for the first."""
    first = min(sizes[0], max(left, 0))
    return tuple(min(size, math.ceil(first / FACTOR**rung)) for rung, size in enumerate(sizes))


def planned(tuner: str, candidates: int, epochs: int) -> list[list[Rung]]:
    """The rungs of every bracket of a search: rounds until all candidates are sampled, the last bracket cut to fit.

    Args:
        tuner: Its name; all but `hyperband` have one bracket of one rung.
        candidates: How many to sample.
        epochs: Of a whole training.
    """
    if tuner != "hyperband":
        return [[(candidates, epochs)]]
    table: list[list[Rung]] = []
    number, left = count(epochs), candidates
    while left > 0:
        number = (number - 1) % count(epochs)
        found = sizes(number, epochs, left)
        table.append([(size, until) for size, (_, until) in zip(found, rungs(number, epochs), strict=True)])
        left -= found[0]
    return table
