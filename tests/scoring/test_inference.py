"""Predictions drop what weighs nothing; their scores are those of Keras' own evaluation."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax as _softmax

from kerascnn.scoring.inference import predict
from kerascnn.scoring.split_scores import score
from kerascnn.training import keras_metrics

NAMES = [f"class {i}" for i in range(7)]


def softmax(logits):
    return _softmax(np.asarray(logits), axis=1)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (21, 4, 4, 3), dtype="uint8")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((4, 4, 3))
    hidden = keras.layers.Flatten()(keras.layers.Rescaling(1 / 64)(inputs))
    return keras.Model(inputs, keras.layers.Dense(7)(keras.layers.Dropout(0.5)(hidden)))


def scoring_data(images, labels, unreadable=(), batch=8):
    """Full batches; fill rows and `unreadable` ones weigh 0, the others rows / n."""
    n, fill = len(images), -len(images) % batch
    index = np.r_[np.arange(n), np.zeros(fill, int)]
    weight = np.r_[np.ones(n), np.zeros(fill)]
    weight[list(unreadable)] = 0
    weight = (weight * len(weight) / weight.sum()).astype("float32")
    rows = (images[index], np.eye(7, dtype="float32")[labels[index]], weight)
    return tf.data.Dataset.from_tensor_slices(rows).batch(batch, drop_remainder=True)


def test_predict_keeps_the_order_and_drops_fill(model, images):
    labels = np.arange(21) % 7
    ids = [f"a/{i}.jpg" for i in range(21)]
    found = predict(model, scoring_data(images, labels), labels, ids)
    np.testing.assert_allclose(found.probabilities, softmax(model(images, training=False)), atol=1e-6)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.ids.tolist() == ids
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(found.indices, np.arange(21))


def test_predict_drops_what_could_not_be_read(model, images):
    labels = np.arange(21) % 7
    found = predict(model, scoring_data(images, labels, unreadable=[0, 9, 20]), labels, range(21))
    kept = [i for i in range(21) if i not in (0, 9, 20)]
    assert found.ids.tolist() == kept
    np.testing.assert_array_equal(found.indices, kept)
    np.testing.assert_array_equal(found.labels, labels[kept])
    np.testing.assert_allclose(found.probabilities, softmax(model(images[kept], training=False)), atol=1e-6)


def test_predict_gives_float32_whatever_the_policy(images):
    keras.config.set_dtype_policy("mixed_bfloat16")
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, keras.layers.Dense(7)(keras.layers.Flatten()(inputs)))
    labels = np.zeros(21, int)
    assert predict(model, scoring_data(images, labels), labels, range(21)).probabilities.dtype == np.float32


def test_scores_equal_kerass_evaluation(model, images):
    """The same numbers as val_loss, val_accuracy, val_macro_f1, val_balanced_accuracy in history.csv."""
    labels = np.random.default_rng(3).integers(0, 7, 21)
    dataset = scoring_data(images, labels, unreadable=[4])
    model.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True), weighted_metrics=keras_metrics.build(7))
    kerass = model.evaluate(dataset, verbose=0, return_dict=True)
    found = predict(model, dataset, labels, range(21))
    ours = score(found, NAMES)
    assert {name: ours[name]["value"] for name in kerass} == pytest.approx(kerass, abs=1e-6)
