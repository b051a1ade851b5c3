"""Several views of each training image, for a loss that compares a network's answers for them (`--augmix-jsd`).

A batch of views is uint8 [batch, VIEWS, size, size, 3]. The first view of an image lacks AugMix; the others have it, with draws
of their own. What precedes AugMix in --augment is the same for all views, and so are the draws of what follows it.
"""

from __future__ import annotations

import tensorflow as tf

from kerascnn.config import Augment, augment_notation
from kerascnn.data import augment as augmentation

VIEWS = 3  # without AugMix, and twice with it (Hendrycks et al., 2020, section 3)
AUGMIX = "augmix"


def vary(
    images: tf.Tensor, names: tuple[str, ...], section: Augment, seed: int, epoch: tf.Tensor, index: tf.Tensor
) -> tf.Tensor:
    """Returns the views of uint8 [batch, size, size, 3], as [batch, VIEWS, size, size, 3].

    Args:
        images: A batch.
        names: Image augmentations with AugMix among them, in their order.
        section: Their strengths.
        seed, epoch, index: As in `augment.vary`.
    """
    at = [augment_notation.head(name) for name in names].index(AUGMIX)
    images = augmentation.vary(images, names[:at], section, seed, epoch, index)
    row = augmentation.row_of(names[at])
    found = [images]
    for number in range(1, VIEWS):
        # The second view has the draws of a training without views.
        drawn = augmentation.draws(AUGMIX if number == 1 else f"{AUGMIX}_{number}", seed, epoch, index, row.draws)
        found.append(row.function(images, drawn, section))
    after = names[at + 1 :]
    return tf.stack([augmentation.vary(view, after, section, seed, epoch, index) for view in found], axis=1)


def first(images: tf.Tensor) -> tf.Tensor:
    """Returns the first view of each image, [batch, size, size, 3]; images without views as they are."""
    return images[:, 0] if images.shape.rank == 5 else images


def joined(images: tf.Tensor) -> tf.Tensor:
    """Returns all views as images: the first of each image, then the second of each, ...; images without views as they are."""
    if images.shape.rank != 5:
        return images
    return tf.reshape(tf.transpose(images, [1, 0, 2, 3, 4]), [-1, *images.shape[2:]])
