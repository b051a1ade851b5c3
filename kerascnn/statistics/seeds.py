"""A score over seeds: with an interval where there are seeds enough to know their spread."""

from collections.abc import Sequence

from kerascnn.statistics.intervals import Interval, t_interval

# Below this the spread over seeds is not known well enough to stand in an interval: Student's over two is 9 spreads wide.
MIN_SEEDS = 3
SHARE = (0.0, 1.0)


def over_seeds(
    values: Sequence[float], within: tuple[float | None, float | None] = (None, None), level: float = 0.95
) -> Interval | None:
    """Returns the mean with Student's interval, cut to what the score can be; None under three seeds.

    Args:
        values: One per seed.
        within: The least and the most that the score can be; `SHARE` for a share.
        level: Share of such intervals that are to hold the mean of all seeds.
    """
    if len(values) < MIN_SEEDS:
        return None
    found = t_interval(values, level)
    least, most = within
    low = found.low if least is None else max(found.low, least)
    high = found.high if most is None else min(found.high, most)
    return Interval(found.value, low, high, found.n)
