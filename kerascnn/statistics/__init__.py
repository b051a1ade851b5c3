"""Intervals and paired tests: plain numbers in, numbers out. No TensorFlow."""

from kerascnn.statistics.folds import OVER_FOLDS, FoldScore, FoldSizes, fold_difference, fold_score
from kerascnn.statistics.intervals import Interval, t_interval, wilson
from kerascnn.statistics.linearized import mean_interval, mean_share, proportion
from kerascnn.statistics.paired import (
    Difference,
    McNemar,
    compare_seeds,
    holm,
    mcnemar,
    p_value,
    ratio_interval,
    sign_test,
    two_way,
)
from kerascnn.statistics.power import both_needed, detectable, images_needed, power_of, seeds_needed
from kerascnn.statistics.seeds import MIN_SEEDS, SHARE, over_seeds

__all__ = [
    "MIN_SEEDS",
    "OVER_FOLDS",
    "SHARE",
    "Difference",
    "FoldScore",
    "FoldSizes",
    "Interval",
    "McNemar",
    "both_needed",
    "compare_seeds",
    "detectable",
    "fold_difference",
    "fold_score",
    "holm",
    "images_needed",
    "mcnemar",
    "mean_interval",
    "mean_share",
    "over_seeds",
    "p_value",
    "power_of",
    "proportion",
    "ratio_interval",
    "seeds_needed",
    "sign_test",
    "t_interval",
    "two_way",
    "wilson",
]
