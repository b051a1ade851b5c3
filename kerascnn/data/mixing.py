"""Mixing of images and labels of a batch by mixup and cutmix: how often, and until when; `worker_slice` says with which image."""

from __future__ import annotations

import tensorflow as tf

from kerascnn.config import Augment
from kerascnn.data.augment import AUGMENTATIONS, choose, draws, per_image
from kerascnn.data.worker_slice import WHOLE, Wanted, wanted


def mix(
    images: tf.Tensor,
    names: tuple[str, ...],
    section: Augment,
    seed: int,
    epoch: tf.Tensor,
    index: tf.Tensor,
    stride: int = 1,
    among: Wanted | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mixes each image with its partner by one of `names`.

    Args:
        images: uint8 [wanted, size, size, 3].
        names: mixup, cutmix or both.
        section: Strengths, probabilities and mode.
        seed: Of the draws.
        epoch: Showings of the images, int64 [wanted].
        index: Indices of the images, int64 [wanted].
        stride: Showings of an epoch (`sampling.stride`).
        among: Which of the images are mixed, and with which; default: all, as a whole batch.

    Returns:
        The mixed images, uint8 [rows, size, size, 3], and their own shares, float32 [rows].
    """
    among = among or wanted(WHOLE, images.shape[0], section.mix_mode)
    over = None if section.mix_epochs is None else epoch[: among.rows] // stride >= section.mix_epochs
    epoch, index = tf.gather(epoch, among.owners), tf.gather(index, among.owners)
    results, others = [], tf.gather(images, among.partners)
    images = images[: among.rows]
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
