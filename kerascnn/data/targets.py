"""Targets of training and scoring, and their weights in the loss, from labels: one class per image, or any number."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from kerascnn.data.splits import Split, Splits
from kerascnn.data.worker_slice import Wanted
from kerascnn.scoring.task import Task

# Largest and smallest weight of a class's positives in `balanced`: a class with a positive among thousands would otherwise
# decide the gradient of the batches that hold it.
MOST, LEAST = 20.0, 1 / 20


def plain(classes: int, task: Task):
    """Returns a function from the labels of a batch to float32 [batch, classes]: one-hot, or 1 for each of several labels."""
    if task.several:
        return lambda labels: tf.cast(labels, tf.float32)
    return lambda labels: tf.one_hot(labels, classes)


def targets_of(
    splits: Splits,
    label_smoothing: float | None,
    class_weights: np.ndarray | None,
    among: Wanted,
):
    """Returns a function to the targets of a batch, or of a part of it, and their weights.

    Its arguments are indices in train, int64 [wanted]; `valid`, 0 or 1 each, [wanted]; and, where images are mixed, the share
    of each image, whose rest is its partner's, [rows], or None.

    Args:
        splits: The images and their labels.
        label_smoothing: Share of a label's weight that is spread; None for the task's default.
        class_weights: `balanced`, or None.
        among: Which of the images the targets are for, and with which they are mixed.
    """
    task = splits.task
    smoothing = task.label_smoothing if label_smoothing is None else label_smoothing
    make = _several if task.several else _one
    return make(splits, smoothing, class_weights, among)


def _one(splits: Splits, smoothing: float, class_weights: np.ndarray | None, among: Wanted):
    """One-hot targets, mixed by share; a weight for each image, [batch]."""
    classes, labels = len(splits.class_names), tf.constant(splits.train.labels)
    weights_of = tf.ones([classes]) if class_weights is None else tf.constant(class_weights, tf.float32)

    def targets(used, valid, share):
        one_hot = tf.one_hot(tf.gather(labels, used), classes)
        smoothed = one_hot * (1.0 - smoothing) + smoothing / classes
        weights = tf.linalg.matvec(one_hot, weights_of) * valid
        if share is not None:
            weights = _mixed(weights, share, among)
            smoothed = _mixed(smoothed, share[:, None], among)
        return smoothed, weights

    return targets


def _several(splits: Splits, smoothing: float, class_weights: np.ndarray | None, among: Wanted):
    """Labels of both mixed images; a weight for each image, [batch], or each label with class weights, [batch, classes]."""
    labels = tf.constant(splits.train.labels)

    def targets(used, valid, share):
        positive = tf.cast(tf.gather(labels, used), tf.float32)
        weights = valid
        if share is not None:
            # A label is there however little of its image is, unless nothing is.
            own = positive[: among.rows] * tf.cast(share > 0, tf.float32)[:, None]
            others = tf.gather(positive, among.partners)
            positive = tf.maximum(own, others * tf.cast(share < 1, tf.float32)[:, None])
            weights = _mixed(weights, share, among)
        smoothed = positive * (1.0 - smoothing) + smoothing / 2
        if class_weights is None:
            return smoothed, weights
        return smoothed, weights[:, None] * (1.0 + positive * (tf.constant(class_weights, tf.float32) - 1.0))

    return targets


def _mixed(values, share, among: Wanted):
    """Returns each image's values, and its partner's, by share."""
    return values[: among.rows] * share + tf.gather(values, among.partners) * (1.0 - share)


def balanced(split: Split, classes: int) -> np.ndarray:
    """Returns class weights, float32 [classes].

    With one class per image they give all classes the same total weight, with a mean of 1 over the images; 0 for empty
    classes. With several labels they are those of positives, which give positives and negatives of a class the same total
    weight, from LEAST to MOST; 1 for classes without a positive.
    """
    if split.labels.ndim == 2:
        positives = split.labels.sum(axis=0)
        ratio = np.clip((len(split) - positives) / np.maximum(positives, 1), LEAST, MOST)
        return np.where(positives, ratio, 1).astype("float32")
    counts = np.bincount(split.labels, minlength=classes)
    shares = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return np.where(counts, shares, 0).astype("float32")
