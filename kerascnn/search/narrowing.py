"""Advice on what to narrow if hardly any of a space fits the budget: plain values and costs in, text out."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

FEWEST = 10


def first(missed: Sequence[tuple[dict[str, Any], float]]) -> str:
    """Returns the range with the strongest rank correlation to the cost, and where the cheapest tenth of the draws is in it.

    Args:
        missed: Draws that exceeded the budget: values by parameter, and cost / limit.

    Returns:
        The end of a sentence; empty where there are too few draws.
    """
    draws = [(values, excess) for values, excess in missed if math.isfinite(excess)]
    if len(draws) < FEWEST:
        return ""
    name, strength = _strongest(draws)
    if not name:
        return ""
    level = np.quantile([excess for _, excess in draws], 0.1)
    cheap = [values[name] for values, excess in draws if excess <= level]
    there = [values[name] for values, _ in draws]
    end = f"at most {max(cheap):g}" if strength > 0 else f"at least {min(cheap):g}"
    return (
        f", first {name}, now {min(there):g} to {max(there):g}: it drives the cost most;"
        f" the cheapest tenth of these draws have it at {end} and still cost {level:.2g} x the budget"
    )


def _strongest(draws: Sequence[tuple[dict[str, Any], float]]) -> tuple[str, float]:
    """Returns the parameter whose rank follows the cost most closely, and Spearman's correlation."""
    found = ("", 0.0)
    for name in draws[0][0]:
        column = [values.get(name) for values, _ in draws]
        if all(isinstance(value, int | float) for value in column) and len(set(column)) > 1:
            strength = float(stats.spearmanr(column, [excess for _, excess in draws]).statistic)
            found = max(found, (name, strength), key=lambda one: abs(one[1]))
    return found
