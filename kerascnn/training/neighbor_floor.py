"""A floor for fine-tuning: nearest neighbors in the features of the starting weights, without any training.

Chen et al. (2019, "A Closer Look at Few-shot Classification") and Kornblith et al. (2019, "Do Better ImageNet Models Transfer
Better?") compare fine-tuning with classifiers on fixed features. A fine-tuned network that is no better was not worth its
training. The vote is that of Wu et al. (2018, "Unsupervised Feature Learning via Non-Parametric Instance Discrimination",
section 3.4).
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerascnn.artefacts.features import normalized
from kerascnn.data import Split, Splits
from kerascnn.errors import UserError
from kerascnn.models.ensemble import features_of
from kerascnn.scoring.predictions import Predictions
from kerascnn.statistics import proportion
from kerascnn.training import assembly, finetune
from kerascnn.training.batches import Batches

KEY = "neighbor_floor"  # in the scores of a split
MOST_IMAGES = 5_000  # training images: of more, the pass over them is no small part of a training
NEIGHBORS = (1, 3, 5, 10, 20)  # val chooses
TEMPERATURE = 0.07  # of the votes, as in the paper


def wanted(splits: Splits, weights: str | None) -> bool:
    """Returns whether a run has a floor: fine-tuned on few images, one label each, with val to choose by."""
    return weights is not None and not splits.task.several and len(splits.train) <= MOST_IMAGES and len(splits.val) > 0


def scores(batches: Batches, split: Split, answered: Predictions, groups: np.ndarray | None) -> dict[str, Any]:
    """Returns the accuracy of the neighbors on `split`, as it stands in metrics.json; nothing where the weights are gone.

    Args:
        batches: The streams of the run, whose config names the starting weights.
        split: The split to score, usually test.
        answered: The network's predictions of it, whose images are the ones that count.
        groups: The group of each of these images, int [n], or None.

    Returns:
        {"neighbor_floor": {"value", "low", "high", "n", "neighbors", "train"}}.
    """
    config, splits = batches.config, batches.splits
    try:
        network = assembly.network(config.model, splits.image_size, len(splits.class_names))
        finetune.load(network, config.model)
    except UserError:  # resuming does not need the weights again, so they may be gone
        return {}
    known, truth = features(network, batches, splits.train)
    asked, val_truth = features(network, batches, splits.val)
    classes = len(splits.class_names)
    votes = {k: np.mean(vote(known, truth, asked, k, classes) == val_truth) for k in NEIGHBORS if k <= len(truth)}
    best = max(votes, key=lambda k: (votes[k], k))  # of equals the smoothest
    tested, labels = features(network, batches, split)
    if len(labels) != len(answered.labels):
        return {}
    found = proportion(vote(known, truth, tested, best, classes) == labels, groups)
    return {KEY: {**found._asdict(), "neighbors": best, "train": len(truth)}}


def features(network: keras.Model, batches: Batches, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Returns the features of the readable images of a split, float32 [n, channels] of length 1, and their labels [n]."""
    model = keras.Model(network.input, features_of(network))
    infer = tf.function(lambda images: tf.cast(model(images, training=False), tf.float32), reduce_retracing=True)
    rows = [(infer(images).numpy(), weight.numpy()) for images, _, weight in batches.scoring(split)]
    found, weight = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    kept = np.flatnonzero(weight[: len(split)] > 0)
    return normalized(found[kept]), np.asarray(split.labels)[kept]


def vote(known: np.ndarray, truth: np.ndarray, asked: np.ndarray, neighbors: int, classes: int) -> np.ndarray:
    """Returns the class that most of the nearest known images have, weighted by exp(cosine / 0.07), int [n].

    Args:
        known: Features of known images, [m, channels] of length 1.
        truth: Their classes, int [m].
        asked: Features to classify, [n, channels] of length 1.
        neighbors: How many of the nearest vote, 1 to m.
        classes: Number of classes.
    """
    similar = asked @ known.T
    nearest = np.argsort(-similar, axis=1, kind="stable")[:, :neighbors]
    weights = np.exp(np.take_along_axis(similar, nearest, axis=1) / TEMPERATURE)
    votes = np.zeros((len(asked), classes), np.float64)
    np.add.at(votes, (np.arange(len(asked))[:, None], truth[nearest]), weights)
    return votes.argmax(axis=1)


def line(split_scores: Mapping[str, Any]) -> str:
    """Returns the line about the floor, and whether the network beat it."""
    floor, own = split_scores[KEY], split_scores["accuracy"]
    nearest = f"{floor['neighbors']} nearest" if floor["neighbors"] > 1 else "the nearest"
    images = f"of {floor['train']:,} training images, by the starting weights' features"
    beaten = own["value"] > floor["value"]
    return (
        f"without training, {nearest} {images}: {floor['value']:.2%}  [{floor['low']:.2%}, {floor['high']:.2%}]"
        f"{'' if beaten else ': this training gained nothing over it'}"
    )
