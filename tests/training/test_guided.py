"""Training with a teacher and with views: what is learned, what is kept, and that a run without either is as it was."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerascnn import training
from kerascnn.data import Splits, views
from kerascnn.devices.plan import setup
from kerascnn.runs.finding import DEMO_FILE
from kerascnn.training import answers
from kerascnn.training.distillation import ConsistencyLoss, DistillationLoss
from kerascnn.training.guided import Guided
from tests.training.test_loop import BASE, scores, splits, train

__all__ = ["splits"]  # a fixture of the module

pytestmark = pytest.mark.training
TEACHER = {"teacher": str(DEMO_FILE)}
VIEWS = {"augment": ("flip", "augmix-m3-w2"), "augmix_jsd": 12.0}


def model_of(splits: Splits, **sections: dict) -> keras.Model:
    config = training.resolve(BASE.replace(**sections), splits)
    return training.build_and_compile(config, splits, setup(config.devices, 16))


def test_the_student_starts_as_it_does_alone_and_only_in_training_has_a_map_to_features(splits: Splits) -> None:
    alone, taught = model_of(splits), model_of(splits, optim={**TEACHER, "distill": "feature"})
    assert isinstance(taught, Guided)
    for one, other in zip(alone.get_weights(), training.network_of(taught).get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    more = {variable.path for variable in taught.variables} - {variable.path for variable in alone.variables}
    assert more == {"hint/kernel", "hint/bias"}


def test_the_loss_is_made_of_its_parts_by_their_weights(splits: Splits) -> None:
    rng = np.random.default_rng(0)
    images = tf.constant(rng.integers(0, 256, (16, 3, 32, 32, 3), dtype=np.uint8))
    labels, answers = np.eye(10, dtype="float32")[np.arange(16) % 10], rng.normal(size=(16, 10)).astype("float32")
    weights = rng.random(16).astype("float32")
    model = model_of(splits, optim={**TEACHER, "distill_weight": 0.25}, augment=VIEWS)
    first, *others = (training.network_of(model)(images[:, view], training=False) for view in range(3))
    outputs = model(views.joined(images), training=False)
    loss = float(model.compute_loss(None, (labels, answers), outputs, weights, training=True))
    of_labels = keras.losses.CategoricalCrossentropy(from_logits=True)(labels, first, weights)
    of_teacher = DistillationLoss("soft", 4.0, False)(answers, first, weights)
    of_views = ConsistencyLoss(False)(tf.stack(others, 1), first, weights)
    assert loss == pytest.approx(float(0.75 * of_labels + 0.25 * of_teacher + 12 * of_views), rel=1e-4)
    assert float(model.distill_loss.result()) == pytest.approx(float(of_teacher), rel=1e-4)
    assert float(model.jsd_loss.result()) == pytest.approx(float(of_views), rel=1e-4)
    plain = float(model.compute_loss(None, labels, model(images[:, 0], training=False), weights, training=False))
    assert plain == pytest.approx(float(of_labels), rel=1e-4), "validation has the loss of the labels"


def test_a_step_asks_the_teacher_about_the_first_view_or_the_image_at_full_size(splits: Splits) -> None:
    rng = np.random.default_rng(0)
    images = tf.constant(rng.integers(0, 256, (4, 3, 32, 32, 3), dtype=np.uint8))
    labels, weights = tf.zeros([4, 10]), tf.ones([4])
    model = model_of(splits, optim=TEACHER, augment=VIEWS)
    step = model.train_step_of(lambda data: data)
    expected = model.teacher(images[:, 0])
    small = images[:, :, ::2, ::2]
    for x, y in ((images, labels), (small, (labels, images[:, 0])), (small, (labels, expected))):
        shown, (same, answers), _ = step((x, y, weights))
        np.testing.assert_array_equal(same, labels)
        np.testing.assert_allclose(answers, expected, atol=1e-5)
        np.testing.assert_array_equal(shown, views.joined(x))


def test_a_taught_run_has_the_answers_of_plain_images_at_hand_and_keeps_only_the_network(
    tmp_path: Path, splits: Splits
) -> None:
    run = train(tmp_path, splits, optim=TEACHER, augment={"augment": ("none",)}, fit={"epochs": 1})
    assert all(row["distill_loss"] > 0 for row in run.history())
    assert not any(name.startswith("val_distill") for name in run.history()[0])
    log = run.log_file.read_text()
    assert "its probabilities at temperature 4 are 50% of the loss" in log
    (kept,) = (tmp_path / ".teachers").iterdir()
    assert answers.read(kept, (len(splits.train), 10)) is not None
    assert answers.read(kept, (len(splits.train), 9)) is None
    kept.write_bytes(kept.read_bytes()[:-4])
    assert answers.read(kept, (len(splits.train), 10)) is None, "a damaged file is not read"
    assert isinstance(keras.models.load_model(run.best_model, compile=False).output, keras.KerasTensor)


@pytest.mark.slow
def test_answers_at_hand_are_those_that_are_asked_for(tmp_path: Path, splits: Splits, monkeypatch) -> None:
    still = {"optim": TEACHER, "augment": {"augment": ("none",)}}
    at_hand = train(tmp_path / "at_hand", splits, **still)
    monkeypatch.setattr(answers, "MOST", 0)
    asked = train(tmp_path / "asked", splits, **still)
    assert (tmp_path / "at_hand" / ".teachers").exists()
    assert not (tmp_path / "asked" / ".teachers").exists()
    np.testing.assert_allclose(scores(at_hand), scores(asked), rtol=1e-3)
