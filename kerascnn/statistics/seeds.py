"""A score over seeds, with an interval if there are enough seeds to estimate their spread."""

from collections.abc import Sequence

from kerascnn.statistics.intervals import Interval, t_interval

# With fewer seeds the spread is too uncertain for an interval: Student's interval of two seeds is 9 spreads wide.
MIN_SEEDS = 3
SHARE = (0.0, 1.0)


def over_seeds(
    values: Sequence[float], within: tuple[float | None, float | None] = (None, None), level: float = 0.95
) -> Interval | None:
    """Returns the mean with Student's interval, cut to the range of the score, or None with fewer than three seeds.

    Args:
        values: One score per seed.
        within: Smallest and largest possible score; `SHARE` for a share.
        level: Confidence level of the interval.
    """
    if len(values) < MIN_SEEDS:
        return None
    found = t_interval(values, level)
    least, most = within
    low = found.low if least is None else max(found.low, least)
    high = found.high if most is None else min(found.high, most)
    return Interval(found.value, low, high, found.n)
