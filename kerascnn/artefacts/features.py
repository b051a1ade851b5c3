"""Features of images: what a network hands to its head, for search, clustering and a look at the data."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from os import PathLike
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerascnn.artefacts.decoding import Item
from kerascnn.artefacts.predictor import BATCH, Predictor
from kerascnn.errors import UserError
from kerascnn.models.ensemble import features_of


class FeatureRow(NamedTuple):
    """The features of one item.

    Attributes:
        item: The item as given.
        features: float32 [channels], or None if the item cannot be used.
        problem: Why it cannot be used, or None.
    """

    item: Item
    features: np.ndarray | None
    problem: str | None


def function(predictor: Predictor, name: str | PathLike[str]) -> Callable[[Any], Any]:
    """Returns a compiled function from float images [batch, image_size, image_size, 3] in 0-255 to features [batch, channels].

    Args:
        predictor: A predictor that has its network: that of a run or of a `.keras` file.
        name: What the predictor is, for the message.

    Raises:
        UserError: There is no network, or none with a layer `pool`.
    """
    network = predictor.network
    if network is None or "pool" not in {layer.name for layer in network.layers}:
        raise UserError(f"{name} has no network with a layer called pool: give a run or a .keras file of kerascnn")
    model = keras.Model(network.input, features_of(network))
    return tf.function(lambda images: tf.cast(model(images, training=False), tf.float32), reduce_retracing=True)


def rows(
    predictor: Predictor, items: Item | Iterable[Item], name: str | PathLike[str], batch_size: int = BATCH
) -> Iterator[FeatureRow]:
    """Yields the features of items one by one, decoded and resized as for a prediction; a few batches are in memory.

    Raises:
        UserError: As `function`.
    """
    extractor = replace(predictor, infer=function(predictor, name), further=None)
    for found in extractor.predictions(items, batch_size):
        yield FeatureRow(found.item, found.probabilities, found.problem)


def normalized(features: np.ndarray) -> np.ndarray:
    """Returns features [n, channels] at length 1, so that products of rows are cosines; rows of zeros stay."""
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
