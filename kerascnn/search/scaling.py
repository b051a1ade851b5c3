"""The widest network within a budget that must be measured: pure, the measurement is the caller's."""

from collections.abc import Callable

TRIES = 8  # measurements, each in a process of its own
# A network this close below a limit in time is close enough: a median of 50 calls is not known better.
CLOSE = 0.9
STEP = 2.0  # the most that width grows by at once: time does not grow in proportion


def widest(share: Callable[[float], float], width: float, least: float, most: float) -> float | None:
    """The widest of the widths tried whose cost fits; None where none does.

    Args:
        share: Cost of a width over the limit; grows with the width, but for noise. Called at most `TRIES` times.
        width: Where to begin.
        least: The narrowest to try.
        most: The widest to try.
    """
    fits: float | None = None
    misses: float | None = None
    for _ in range(TRIES):
        found = share(width)
        if found > 1:
            misses = width
        else:
            fits = width
            if found >= CLOSE or width >= most:
                break
        if misses is not None and misses <= least:
            break
        if fits is None:
            width = max(least, round(width * min(0.97 / found, 1), 5))
        elif misses is None:
            width = min(most, round(width * min(1 / found, STEP), 5))
        else:
            width = round((fits * misses) ** 0.5, 5)
    return fits
