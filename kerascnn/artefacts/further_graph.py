"""The further outputs of an artefact as TensorFlow operations, which every format takes: comparisons, sorting, sums."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerascnn.artefacts.file_rules import CUMULATED, FileRules, highest, lowest
from kerascnn.artefacts.further import IN_SET, KNOWN, KNOWN_SCORE
from kerascnn.scoring.prediction_sets import SetRule
from kerascnn.statistics import conformal


def computed(rules: FileRules, probabilities: Any, logits: Any) -> dict[str, Any]:
    """Returns the outputs by name.

    Args:
        rules: The rules.
        probabilities: float32 [n, C].
        logits: float32 [n, C], divided by the temperature that the rules know.

    Returns:
        `in_set` bool [n, C]; `known` bool [n] and `known_score` float32 [n]: the largest logit, without the temperature.
    """
    found = {}
    if rules.sets is not None:
        found[IN_SET] = _in_set(rules.sets.rule, probabilities)
    if rules.unknown is not None:
        score = tf.reduce_max(logits, axis=1)
        if rules.unknown.temperature != 1:
            score = score * np.float32(rules.unknown.temperature)
        found[KNOWN] = score >= np.float32(rules.unknown.threshold)
        found[KNOWN_SCORE] = score
    return found


def _in_set(rule: SetRule, probabilities: Any) -> Any:
    if rule.score not in CUMULATED:
        return probabilities >= lowest(rule)
    classes = int(probabilities.shape[1])
    falling, order = tf.math.top_k(probabilities, classes)  # of equals the first one first, as in `conformal`
    scores = tf.cumsum(falling, axis=1, exclusive=True)
    if rule.score == "raps":
        ranks = np.arange(1, classes + 1)
        scores += (conformal.PENALTY * np.maximum(ranks - conformal.FREE_RANKS, 0)).astype("float32")
    # The order of an order is its inverse: where each class stands among the sorted ones.
    _, place = tf.math.top_k(-tf.cast(order, tf.float32), classes)
    return tf.gather(scores, place, batch_dims=1) <= highest(rule)


class Further(keras.layers.Layer):
    """The further outputs of (probabilities, logits), as a dictionary of tensors."""

    def __init__(self, rules: FileRules, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rules = rules

    def call(self, inputs):
        return computed(self.rules, *inputs)


def of_network(network: keras.Model, rules: FileRules, activation: str) -> Callable[[Any], dict[str, Any]]:
    """Returns a function from images to `probabilities` and the further outputs of a network that ends in logits.

    Args:
        network: The network.
        rules: The rules.
        activation: softmax, or sigmoid for several labels per image.
    """
    spec = tf.TensorSpec([None, *network.input_shape[1:]], tf.float32)

    def further(images):
        logits = tf.cast(network(images, training=False), tf.float32)
        probabilities = getattr(tf.nn, activation)(logits)
        return {"probabilities": probabilities, **computed(rules, probabilities, logits)}

    return tf.function(further, input_signature=[spec], autograph=False, jit_compile=False)
