"""Sentences of a comparison."""

import pytest

from kerascnn.comparison import summary_lines


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0414, "p = 0.041"), (1.0, "p = 1"), (2.1e-6, "p = 2.1e-06"), (0.0, "p < 1e-06"), (1e-99, "p < 1e-06")],
)
def test_p_values_too_small_to_tell_from_nothing_are_bounds(p: float, text: str) -> None:
    assert summary_lines.p_value(p) == text
