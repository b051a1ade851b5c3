"""A network on the images of a split."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kerascnn.cli.progress import Phase
from kerascnn.errors import UserError
from kerascnn.scoring.predictions import Predictions


def predict(
    model: Any, dataset: tf.data.Dataset, labels: np.ndarray, ids: Sequence[Any], phase: Phase | None = None
) -> Predictions:
    """Returns the model's predictions for every image of a split, in the split's order.

    The model runs as it is, on one device: a float32 model gives float32 numbers. Rows of weight 0 are dropped: fill at the
    end, and images that could not be decoded.

    Args:
        model: `models.build`'s contract: raw pixels in, logits out.
        dataset: Full batches of (images [batch, H, W, 3], labels [batch, C], weight [batch]), each image once, in order.
        labels: True classes of the split, [n], or several labels, bool [n, C].
        ids: Path or name of each image of the split, [n].
        phase: Advanced batch by batch.
    """
    infer = tf.function(lambda images: tf.cast(model(images, training=False), tf.float32), reduce_retracing=True)
    # Kept as tensors until the end, so that a GPU is not waited for at every batch.
    batches = [(infer(images), weight) for images, _, weight in (phase.over(dataset) if phase else dataset)]
    if not batches:
        raise UserError("nothing to score: the split has no images")
    logits, weight = (tf.concat(parts, axis=0).numpy() for parts in zip(*batches, strict=True))
    rows = np.flatnonzero(weight[: len(labels)] > 0)
    kept = np.asarray(labels)[rows]
    return Predictions.of_logits(
        np.asarray(ids)[rows], rows, kept if kept.ndim == 2 else kept.astype(np.int64), logits[rows]
    )
