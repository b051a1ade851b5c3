"""Intervals and paired tests: plain numbers in, numbers out. No TensorFlow."""

from kerascnn.statistics.intervals import Interval, bootstrap, t_interval, wilson
from kerascnn.statistics.paired import Difference, McNemar, compare_seeds, holm, mcnemar, p_value, sign_test, two_way
from kerascnn.statistics.power import both_needed, detectable, half_width, images_needed, seeds_needed

__all__ = [
    "Difference",
    "Interval",
    "McNemar",
    "bootstrap",
    "both_needed",
    "compare_seeds",
    "detectable",
    "half_width",
    "holm",
    "images_needed",
    "mcnemar",
    "p_value",
    "seeds_needed",
    "sign_test",
    "t_interval",
    "two_way",
    "wilson",
]
