"""Mixing of images and labels of a batch by mixup and cutmix: with which image, how often, and until when.

`neighbor` mixes each image with the one before it; timm's modes mix image i with image n - 1 - i.
"""

from __future__ import annotations

import tensorflow as tf

from kerascnn.config import Augment
from kerascnn.data.augment import AUGMENTATIONS, choose, draws, per_image


def partners(values: tf.Tensor, section: Augment) -> tf.Tensor:
    """Returns what belongs to the other image of each mixture, from what belongs to each image of the batch."""
    return tf.roll(values, 1, 0) if section.mix_mode == "neighbor" else tf.reverse(values, [0])


def _owners(values: tf.Tensor, section: Augment) -> tf.Tensor:
    """Returns the epochs or indices by which each image draws: another image's where several share a draw."""
    if section.mix_mode == "batch":
        return tf.fill(tf.shape(values), values[0])
    if section.mix_mode == "pair":
        place = tf.range(tf.shape(values)[0])
        return tf.gather(values, tf.minimum(place, place[::-1]))
    return values


def mix(
    images: tf.Tensor,
    names: tuple[str, ...],
    section: Augment,
    seed: int,
    epoch: tf.Tensor,
    index: tf.Tensor,
    stride: int = 1,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mixes each image with its partner by one of `names`.

    Args:
        images: uint8 [batch, size, size, 3].
        names: mixup, cutmix or both.
        section: Strengths, probabilities and mode.
        seed: Of the draws.
        epoch: Showings of the images, int64 [batch].
        index: Indices of the images, int64 [batch].
        stride: Showings of an epoch (`sampling.stride`).

    Returns:
        The images and their own shares, float32 [batch].
    """
    over = None if section.mix_epochs is None else epoch // stride >= section.mix_epochs
    epoch, index = _owners(epoch, section), _owners(index, section)
    results, others = [], partners(images, section)
    for name in names:
        row = AUGMENTATIONS[name]
        results.append(row.function(images, others, draws(name, seed, epoch, index, row.draws), section))
    mixed, share = results[0]
    if len(results) > 1:
        first = 1.0 - section.mix_switch_prob if names[0] == "mixup" else section.mix_switch_prob
        second = draws("mix", seed, epoch, index, 1)[:, 0] >= first
        mixed = choose(per_image(second), results[1][0], mixed)
        share = tf.where(second, results[1][1], share)
    whole = None if section.mix_prob == 1 else draws("mix_prob", seed, epoch, index, 1)[:, 0] >= section.mix_prob
    for untouched in (whole, over):
        if untouched is not None:
            mixed = choose(per_image(untouched), images, mixed)
            share = tf.where(untouched, 1.0, share)
    return mixed, share
