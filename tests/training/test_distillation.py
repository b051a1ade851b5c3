"""The losses of distillation and of views, against the formulas of their papers in numpy."""

import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax

from kerascnn.training.distillation import ConsistencyLoss, DistillationLoss

RNG = np.random.default_rng(0)
TEACHER, STUDENT = (RNG.normal(scale=2, size=(6, 4)).astype("float32") for _ in range(2))
WEIGHTS = np.array([1, 0, 2, 1, 1, 0.5], "float32")


def kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    return p * np.log(p / q)


def soft(t: float) -> np.ndarray:
    """Hinton et al., 2015: the divergence at temperature t, times t squared."""
    return t**2 * kl(softmax(TEACHER / t, 1), softmax(STUDENT / t, 1)).sum(1)


def soft_several(t: float) -> np.ndarray:
    q, p = expit(TEACHER / t), expit(STUDENT / t)
    return t**2 * (kl(q, p) + kl(1 - q, 1 - p)).mean(1)


def hard() -> np.ndarray:
    return -log_softmax(STUDENT, 1)[np.arange(6), TEACHER.argmax(1)]


def hard_several() -> np.ndarray:
    yes = TEACHER > 0
    return -np.log(np.where(yes, expit(STUDENT), expit(-STUDENT))).mean(1)


def feature() -> np.ndarray:
    return ((STUDENT - TEACHER / np.sqrt((TEACHER**2).mean(1, keepdims=True))) ** 2).mean(1)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (DistillationLoss("soft", 1.0, False), soft(1)),
        (DistillationLoss("soft", 4.0, False), soft(4)),
        (DistillationLoss("soft", 4.0, True), soft_several(4)),
        (DistillationLoss("hard", 4.0, False), hard()),
        (DistillationLoss("hard", 4.0, True), hard_several()),
        (DistillationLoss("feature", 4.0, False), feature()),
        (DistillationLoss("feature", 4.0, True), feature()),
    ],
    ids=lambda value: f"{value.kind}-{value.temperature:g}-{value.several}" if hasattr(value, "kind") else "",
)
def test_the_distance_is_that_of_the_paper(loss: DistillationLoss, expected: np.ndarray) -> None:
    assert float(loss(TEACHER, STUDENT)) == pytest.approx(expected.mean(), rel=1e-4)
    assert float(loss(TEACHER, STUDENT, WEIGHTS)) == pytest.approx((expected * WEIGHTS).mean(), rel=1e-4)
    again = type(loss).from_config(loss.get_config())
    assert float(again(TEACHER, STUDENT)) == float(loss(TEACHER, STUDENT))


@pytest.mark.parametrize("several", [False, True])
def test_nothing_is_left_to_learn_of_oneself(several: bool) -> None:
    assert float(DistillationLoss("soft", 4.0, several)(TEACHER, TEACHER)) == pytest.approx(0, abs=1e-6)


def test_a_hot_teacher_is_matched_by_logits_without_their_mean() -> None:
    """Hinton et al., 2015, section 2.1: for high temperatures the loss is half the mean squared distance of logits."""
    apart = (TEACHER - TEACHER.mean(1, keepdims=True)) - (STUDENT - STUDENT.mean(1, keepdims=True))
    found = float(DistillationLoss("soft", 100.0, False)(TEACHER, STUDENT))
    assert found == pytest.approx((apart**2).mean(1).mean() / 2, rel=0.05)


def test_weights_of_labels_count_for_labels_and_only_say_which_images_have_features() -> None:
    weights = np.ones((6, 4), "float32") * np.array([1, 2, 3, 4], "float32")
    weights[1] = 0
    q, p = expit(TEACHER / 2), expit(STUDENT / 2)
    each = 4 * (kl(q, p) + kl(1 - q, 1 - p)) * weights
    assert float(DistillationLoss("soft", 2.0, True)(TEACHER, STUDENT, weights)) == pytest.approx(each.mean(), rel=1e-4)
    there = feature() * (weights[:, 0] > 0)
    assert float(DistillationLoss("feature", 4.0, True)(TEACHER, STUDENT, weights)) == pytest.approx(there.mean())


def test_the_divergence_of_views_is_that_of_augmix() -> None:
    """As in AugMix' own code: the mean over views of KL(view || mean of the views), which is the Jensen-Shannon divergence."""
    others = RNG.normal(size=(6, 2, 4)).astype("float32")
    views = softmax(np.concatenate([STUDENT[:, None], others], 1), 2)
    expected = kl(views, views.mean(1, keepdims=True)).sum(2).mean(1)
    loss = ConsistencyLoss(several=False)
    assert float(loss(others, STUDENT)) == pytest.approx(expected.mean(), rel=1e-4)
    assert float(loss(others, STUDENT, WEIGHTS)) == pytest.approx((expected * WEIGHTS).mean(), rel=1e-4)
    assert float(loss(np.stack([STUDENT, STUDENT], 1), STUDENT)) == pytest.approx(0, abs=1e-6)
    yes = expit(np.concatenate([STUDENT[:, None], others], 1))
    labels = (kl(yes, yes.mean(1, keepdims=True)) + kl(1 - yes, 1 - yes.mean(1, keepdims=True))).mean(1)
    assert float(ConsistencyLoss(several=True)(others, STUDENT)) == pytest.approx(labels.mean(), rel=1e-4)
