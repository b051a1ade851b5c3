"""Schedules as numbers."""

import numpy as np
import pytest
import tensorflow as tf

from kerascnn.config import Optim
from kerascnn.training import schedules


def lr(section: Optim, steps: int = 100, per_epoch: int = 10) -> np.ndarray:
    schedule = schedules.Schedule(section, steps, per_epoch)
    return np.array([float(schedule(step)) for step in range(steps)])


def test_cosine_warms_up_to_the_peak_and_falls_to_nothing() -> None:
    rate = lr(Optim(lr=0.4, warmup=2, schedule="cosine"))
    assert np.all(np.diff(rate[:20]) > 0)
    assert rate[0] == pytest.approx(0.4 / 20, rel=1e-3)
    assert rate[20] == pytest.approx(0.4, rel=1e-3)
    assert np.all(np.diff(rate[20:]) < 0)
    assert 0 < rate[-1] < 0.001


def test_step_falls_to_a_tenth_at_the_stated_shares() -> None:
    rate = lr(Optim(lr=1.0, schedule="step", warmup=0, step_epochs=(0.5, 0.75)))
    assert rate[[0, 49, 50, 74, 75, 99]] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_constant_without_warmup_is_constant() -> None:
    assert np.ptp(lr(Optim(lr=0.3, schedule="constant", warmup=0))) == 0


def test_warmup_takes_at_most_half_of_a_short_run() -> None:
    rate = lr(Optim(lr=0.1, warmup=1.0, schedule="cosine"), steps=10, per_epoch=10)
    assert rate.argmax() in (4, 5)


def test_schedule_config_round_trip() -> None:
    schedule = schedules.Schedule(Optim(lr=0.2, schedule="step"), 100, 10)
    again = schedules.Schedule.from_config(schedule.get_config())
    assert float(again(60)) == float(schedule(60))


def test_linear_is_one_cycle() -> None:
    rate = lr(Optim(lr=0.4, warmup=2, schedule="linear"))
    assert rate.argmax() == 19  # the last step of the warm-up
    assert np.diff(rate[20:]) == pytest.approx(np.full(79, -0.4 / 80), rel=1e-2)


def share(**fields) -> np.ndarray:
    """The rates of ten epochs of ten steps at a peak of 1, without warm-up."""
    return lr(Optim(lr=1.0, warmup=0, **fields))


MIDDLE = (np.arange(100) + 0.5) / 100  # of each step, as a share of all


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"schedule": "step", "step_epochs": (0.3,), "step_factor": 0.5}, np.where(MIDDLE < 0.3, 1, 0.5)),
        ({"schedule": "polynomial"}, (1 - MIDDLE) ** 2),
        ({"schedule": "polynomial", "poly_power": 1, "lr_min": 0.2}, 0.2 + 0.8 * (1 - MIDDLE)),
        ({"schedule": "exponential", "decay_rate": 0.5, "decay_epochs": 2}, 0.5 ** (MIDDLE * 10 / 2)),
        (
            {"schedule": "exponential", "decay_rate": 0.5, "decay_epochs": 2, "decay_staircase": True},
            np.repeat([1, 0.5, 0.25, 0.125, 0.0625], 20),
        ),
        ({"schedule": "exponential", "decay_rate": 0.01, "lr_min": 0.3}, np.maximum(0.01 ** (MIDDLE * 5), 0.3)),
        ({"schedule": "restarts", "restart_epochs": 5}, (1 + np.cos(np.pi * (MIDDLE * 2 % 1))) / 2),
        (
            {"schedule": "restarts", "restart_epochs": 2, "restart_factor": 2, "restart_decay": 0.5},
            np.r_[
                (1 + np.cos(np.pi * MIDDLE[:20] * 5)) / 2,
                (1 + np.cos(np.pi * (MIDDLE[20:60] - 0.2) * 2.5)) / 4,
                (1 + np.cos(np.pi * (MIDDLE[60:] - 0.6) * 1.25)) / 8,
            ],
        ),
        (
            {"schedule": "restarts", "restart_epochs": 4, "cooldown": 2, "lr_min": 0.1},
            np.r_[0.1 + 0.9 * (1 + np.cos(np.pi * (MIDDLE[:80] * 2.5 % 1))) / 2, np.full(20, 0.1)],
        ),
        ({"schedule": "constant", "cooldown": 1, "lr_min": 0.1}, np.where(MIDDLE < 0.9, 1, 0.1)),
    ],
    ids=str,
)
def test_a_schedule_by_its_formula(fields: dict, expected: np.ndarray) -> None:
    np.testing.assert_allclose(share(**fields), expected, rtol=1e-4)


def test_one_cycle_goes_up_and_down_and_its_momentum_the_other_way() -> None:
    section = Optim(lr=1.0, schedule="one_cycle", cycle_peak=0.3, cycle_momentum=(0.8, 0.95), warmup=3)
    rate, schedule = lr(section), schedules.Schedule(section, 100, 10)
    momentum = np.array([float(schedule.momentum(step)) for step in range(100)])
    assert rate.argmax() in (29, 30)
    assert rate[0] == pytest.approx(1 / 25, rel=0.05)
    assert rate[-1] < 1e-3
    assert np.all(np.diff(rate[:30]) > 0)
    assert np.all(np.diff(rate[30:]) < 0)
    assert momentum.argmin() in (29, 30)
    assert momentum[[0, -1]] == pytest.approx([0.95, 0.95], abs=1e-3)
    assert momentum.min() == pytest.approx(0.8, abs=1e-3)
    up = slice(0, 29)
    assert (0.95 - momentum[up]) / 0.15 == pytest.approx((rate[up] - 1 / 25) * 25 / 24, abs=1e-4)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([], 1),
        ([0.1, 0.2, 0.3], 1),
        ([0.3, 0.3, 0.2], 0.5),  # as good is not better
        ([0.3, 0.2, 0.4, 0.3, 0.4], 0.5),
        ([0.3, 0.2, 0.2, 0.2, 0.2], 0.25),
        ([0.3, float("nan"), 0.2, 0.5], 0.5),
    ],
)
def test_plateau_falls_after_epochs_without_a_better_score(scores: list[float], expected: float) -> None:
    section = Optim(schedule="plateau", plateau_patience=2, plateau_factor=0.5)
    rows = [{"val_accuracy": score, "val_loss": -score} for score in scores]
    assert schedules.plateau_factor(rows, "val_accuracy", section) == expected
    assert schedules.plateau_factor(rows, "val_loss", section) == expected


def test_plateau_multiplies_the_rate_after_warmup() -> None:
    schedule = schedules.Schedule(Optim(lr=1.0, schedule="plateau", warmup=0, lr_min=0.3), 100, 10)
    schedule.factor = tf.Variable(0.5)
    assert float(schedule(50)) == 0.5
    schedule.factor.assign(0.1)
    assert float(schedule(50)) == pytest.approx(0.3)
