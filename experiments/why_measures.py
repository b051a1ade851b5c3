"""What `why.py` measures of a network beside its score: gradients, what single blocks are worth, how far it sees, zoom."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

BATCH = 128
ZOOMS = (0.5, 0.7, 1.0, 1.4, 2.0)


def gradient_norms(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The norm of the loss's gradient in all weights of the stem and of each block, in training mode; mean over batches.

    The model's moving statistics move.

    Args:
        model: Raw pixels in, logits out, float32.
        images: uint8 [n, H, W, 3].
        labels: [n].

    Returns:
        By layer, in the graph's order: `stem_1`, `stage1_block1`, ..., `logits`.
    """
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    places = [variable.path.split("/")[0] for variable in model.trainable_variables]
    squares: dict[str, list[float]] = {place: [] for place in dict.fromkeys(places)}
    for start in range(0, len(images), BATCH):
        with tf.GradientTape() as tape:
            value = loss(labels[start : start + BATCH], model(_pixels(images[start : start + BATCH]), training=True))
        found = tape.gradient(value, [variable.value for variable in model.trainable_variables])
        summed = dict.fromkeys(squares, 0.0)
        for place, gradient in zip(places, found, strict=True):
            summed[place] += float(tf.reduce_sum(tf.square(gradient)))
        for place, total in summed.items():
            squares[place].append(total**0.5)
    return {place: float(np.mean(norms)) for place, norms in squares.items()}


def by_stage(norms: Mapping[str, float]) -> dict[str, float]:
    """Norms of blocks as one per stem, stage and head: `stage1_block2` counts for `stage1`."""
    squares: dict[str, float] = {}
    for place, norm in norms.items():
        stage = place.split("_")[0]
        squares[stage] = squares.get(stage, 0.0) + norm**2
    return {stage: square**0.5 for stage, square in squares.items()}


def without_blocks(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Accuracy with one block left out, for every block that keeps its input's shape (Veit et al., 2016, section 4.1).

    Args:
        model: A chain of layers, as ResNets of `models.build` are.
        images: uint8 [n, H, W, 3].
        labels: [n].

    Returns:
        By block; `whole` is the accuracy of the network as it is, on the same images.
    """
    chain, x = model.layers[1:], _pixels(images)
    found: dict[str, float] = {}
    for place, layer in enumerate(chain):
        after = layer(x, training=False)
        if "_block" in layer.name and after.shape == x.shape:
            found[layer.name] = _accuracy(_through(chain[place + 1 :], x), labels)
        x = after
    return {"whole": _accuracy(x, labels), **found}


def _through(chain: Sequence[keras.layers.Layer], x: Any) -> Any:
    for layer in chain:
        x = layer(x, training=False)
    return x


def reach(model: keras.Model, images: np.ndarray) -> float:
    """How far the last stage sees: the spread of its effective receptive field (Luo et al., 2016, section 3), in pixels.

    The gradient of the middle place's features in the pixels, its size averaged over images: the root mean square distance
    from its centre.
    """
    last = max(layer.name for layer in model.layers if layer.name.startswith("stage") and "_" not in layer.name)
    tapped = keras.Model(model.inputs, model.get_layer(last).output)
    pixels = _pixels(images)
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        features = tapped(pixels, training=False)
        middle = features[:, features.shape[1] // 2, features.shape[2] // 2]
        total = tf.reduce_sum(middle)
    weight = tf.reduce_mean(tf.abs(tape.gradient(total, pixels)), axis=(0, 3)).numpy().astype("float64")
    weight /= weight.sum()
    rows, columns = np.mgrid[: weight.shape[0], : weight.shape[1]]
    row, column = (weight * rows).sum(), (weight * columns).sum()
    return float(np.sqrt((weight * ((rows - row) ** 2 + (columns - column) ** 2)).sum()))


def over_zoom(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Accuracy where things are smaller or larger than in training; black fills what a smaller image leaves."""
    return {f"{factor:g}": _accuracy(_ask(model, zoomed(images, factor)), labels) for factor in ZOOMS}


def zoomed(images: np.ndarray, factor: float) -> np.ndarray:
    """Images [n, H, W, 3] enlarged by `factor` about their middle, in their old size, float32 in 0-255."""
    height, width = images.shape[1:3]
    size = round(height * factor), round(width * factor)
    resized = tf.image.resize(tf.cast(images, tf.float32), size, antialias=True)
    return tf.image.resize_with_crop_or_pad(resized, height, width).numpy()


def _ask(model: keras.Model, images: np.ndarray) -> np.ndarray:
    return np.concatenate(
        [
            model(_pixels(images[start : start + BATCH]), training=False).numpy()
            for start in range(0, len(images), BATCH)
        ]
    )


def _accuracy(logits: Any, labels: np.ndarray) -> float:
    return float((np.asarray(logits).argmax(axis=1) == labels).mean())


def _pixels(images: np.ndarray) -> Any:
    return tf.constant(np.asarray(images, "float32"))
