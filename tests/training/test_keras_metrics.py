"""The metrics agree with scikit-learn, whatever the batches, fill rows and replicas."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import accuracy_score, balanced_accuracy_score, cohen_kappa_score, f1_score

from kerascnn.config import choices
from kerascnn.config.training import MonitorName
from kerascnn.scoring.task import MONITORS, TASKS
from kerascnn.training import keras_metrics


def answers(rng, n, classes, present):
    """Labels out of `present`, logits that are right about half of the time."""
    labels = rng.choice(present, n)
    logits = rng.normal(size=(n, classes)).astype("float32")
    logits[np.arange(n), labels] += rng.choice([0.0, 3.0], n)
    return labels, logits


def filled(labels, logits, classes, batch):
    """Batches of (one-hot, logits, weight) in which the fill weighs 0 and real rows weigh rows / n (decision 3)."""
    n, fill = len(labels), -len(labels) % batch
    index = np.r_[np.arange(n), np.zeros(fill, int)]
    weight = np.r_[np.full(n, (n + fill) / n), np.zeros(fill)].astype("float32")
    onehot = np.eye(classes, dtype="float32")[labels[index]]
    return [tuple(a[i : i + batch] for a in (onehot, logits[index], weight)) for i in range(0, n + fill, batch)]


def expected(labels, predicted):
    return {
        "accuracy": accuracy_score(labels, predicted),
        "macro_f1": f1_score(labels, predicted, average="macro", zero_division=0),
        "balanced_accuracy": balanced_accuracy_score(labels, predicted),
        "cohen_kappa": np.nan_to_num(cohen_kappa_score(labels, predicted)),
    }


@pytest.mark.parametrize(
    ("n", "classes", "present"),
    [(65, 10, range(10)), (1, 3, [2]), (200, 2, [0, 1]), (97, 7, [0, 2, 3, 6])],
    ids=["all classes", "one image", "two classes", "absent classes"],
)
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
@pytest.mark.filterwarnings("ignore:.*have only one label in common")
def test_agrees_with_sklearn(n, classes, present):
    labels, logits = answers(np.random.default_rng(n), n, classes, list(present))
    true = expected(labels, logits.argmax(1))
    built = keras_metrics.build(classes)
    apart = [keras_metrics.CountedScore(classes, name) for name in true]
    for metric in (*built, *apart):
        for batch in filled(labels, logits, classes, 16):
            metric.update_state(*batch)
    for metrics in (built, apart):
        assert {metric.name: float(metric.result()) for metric in metrics} == pytest.approx(true, abs=1e-6)
    assert len([variable for metric in built for variable in metric.variables]) == 1, "each batch is counted once"


def test_weights_are_honoured():
    labels, logits = answers(np.random.default_rng(5), 50, 4, range(4))
    weight = np.random.default_rng(6).uniform(0, 3, 50).astype("float32")
    metric = keras_metrics.CountedScore(4, "macro_f1")
    metric.update_state(np.eye(4)[labels], logits, weight)
    true = f1_score(labels, logits.argmax(1), average="macro", sample_weight=weight)
    assert float(metric.result()) == pytest.approx(true, abs=1e-6)


def test_counts_beyond_256_in_bfloat16():
    keras.config.set_dtype_policy("mixed_bfloat16")
    metric = keras_metrics.CountedScore(2, "balanced_accuracy")
    logits = tf.cast([[1.0, 0.0]] * 4, tf.bfloat16)
    for _ in range(200):
        metric.update_state(tf.constant([[1.0, 0], [1, 0], [1, 0], [0, 1]]), logits)
    np.testing.assert_array_equal(metric.counts.numpy(), [[600, 200], [800, 0], [600, 0]])
    assert float(metric.result()) == 0.5


def test_empty_and_reset():
    metrics = keras_metrics.build(3)
    for expected in (0.0, 1.0, 0.0):
        assert [float(metric.result()) for metric in metrics] == [expected] * len(metrics)
        for metric in metrics:
            metric.update_state(np.eye(3), np.eye(3)) if not expected else metric.reset_state()


def test_config_round_trip():
    made = keras_metrics.CountedScore(7, "macro_f1", name="mine")
    metric = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
    assert type(metric) is keras_metrics.CountedScore
    assert (metric.name, metric.num_classes, metric.score) == ("mine", 7, "macro_f1")


def scores(devices, dataset):
    """evaluate() of the identity network: what Keras writes into history.csv as val_*."""
    summed = tf.distribute.ReductionToOneDevice()
    strategy = tf.distribute.MirroredStrategy(devices, summed) if len(devices) > 1 else tf.distribute.get_strategy()
    with strategy.scope():
        inputs = keras.Input((5,))
        model = keras.Model(inputs, keras.layers.Activation("linear")(inputs))
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        model.compile("sgd", loss, weighted_metrics=keras_metrics.build(5), jit_compile=False)
    return model.evaluate(dataset, verbose=0, return_dict=True)


def test_two_replicas_equal_one():
    """65 images, batch 16: one replica of the last batch gets fill rows only."""
    labels, logits = answers(np.random.default_rng(1), 65, 5, range(5))
    batches = filled(labels, logits, 5, 16)
    onehot, rows, weight = (np.concatenate(part) for part in zip(*batches, strict=True))
    dataset = tf.data.Dataset.from_tensor_slices((rows, onehot, weight)).batch(16, drop_remainder=True)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    true = expected(labels, logits.argmax(1)) | {"loss": -log_p[np.arange(65), labels].mean()}
    for devices in (["CPU:0"], ["CPU:0", "CPU:1"]):
        assert scores(devices, dataset) == pytest.approx(true, abs=1e-6)


def test_monitors_are_the_configs():
    built = [metric for task in TASKS.values() for metric in keras_metrics.build(2, task)]
    names = {f"val_{metric.name}" for metric in built} | {"val_loss"}
    assert set(MONITORS) == set(choices(MonitorName)) - {"auto"} == names
