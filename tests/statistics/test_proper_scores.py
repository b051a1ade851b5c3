"""Log loss and Brier score against their definitions."""

import numpy as np
import pytest

from kerascnn.statistics import calibration
from kerascnn.statistics.proper_scores import brier, losses, mean_brier, mean_loss


def test_brier_by_hand() -> None:
    scores = brier(np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]), np.array([0, 0, 0]))
    np.testing.assert_allclose(scores, [0.0, 0.5, 2.0])


def test_a_certain_mistake_has_a_finite_loss() -> None:
    assert losses(np.array([[1, 0]], "float32"), np.array([1]))[0] == pytest.approx(87.3, abs=0.1)


def test_an_unseen_mistake_is_reckoned_with() -> None:
    """20 sure and right answers: one mistake in 40 would cost 0.115 more than what is seen."""
    probabilities = np.tile([0.99, 0.01], (20, 1))
    found = mean_loss(probabilities, np.zeros(20, int))
    assert found.value == pytest.approx(-np.log(0.99))
    assert found.low == pytest.approx(found.value)
    assert found.value + 4.6 / 40 < found.high < 1
    wrong = mean_brier(probabilities, np.zeros(20, int))
    assert 0 <= wrong.low <= wrong.value < 0.05 < wrong.high <= 2


@pytest.mark.parametrize(
    "function",
    [
        losses,
        brier,
        calibration.temperature,
        calibration.ece,
        calibration.reliability,
        lambda p, _: calibration.cooled(p, 2),
    ],
)
def test_refuses_what_is_not_a_number(function) -> None:
    with pytest.raises(ValueError, match="got 1 images with NaN"):
        function(np.array([[0.5, 0.5], [np.nan, 0.5]]), np.array([0, 1]))
