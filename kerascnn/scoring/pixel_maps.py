"""Maps that need no stage: integrated gradients and occlusion ask the whole network, whatever is in it."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from kerascnn.scoring.grad_cam import BATCH, as_pixels, scaled, traced

GREY = 127.5
STEPS = 32  # images between gray and the image, whose gradients are averaged
PATCHES = 7  # of an occluded image's side


def integrated_gradients(
    model: keras.Model, images: np.ndarray, classes: Sequence[int] | np.ndarray | None = None, steps: int = STEPS
) -> np.ndarray:
    """Returns maps of the positive `attributions`, summed over the colors: arguments and result as `grad_cam.grad_cam`."""
    return scaled(attributions(model, images, classes, steps).sum(axis=-1))


def attributions(
    model: keras.Model, images: np.ndarray, classes: Sequence[int] | np.ndarray | None = None, steps: int = STEPS
) -> np.ndarray:
    """Returns what each value adds to a class's logit over a gray image's (Sundararajan et al., 2017, equation 1).

    Their sum is the difference of the two logits, up to the error of the midpoint rule. A pixel as gray as the baseline has
    none, whatever it means.

    Args:
        model: A network of `models.build` that computes in float32.
        images: Raw pixels 0-255, [n, H, W, 3], of the model's size.
        classes: One per image; None for the predicted classes.
        steps: Images on the way.

    Returns:
        float32 [n, H, W, 3], in logits.
    """
    gradient = traced(model, "gradient", lambda: _gradient(model))
    wanted = _wanted(model, images, classes)
    found = np.empty(images.shape, "float32")
    for first in range(0, len(images), BATCH):
        some = slice(first, first + BATCH)
        away = np.asarray(images[some], "float32") - GREY
        total = np.zeros_like(away)
        for step in range(steps):
            between = GREY + away * np.float32((step + 0.5) / steps)
            total += gradient(tf.constant(between), tf.constant(wanted[some])).numpy()
        found[some] = away * total / steps
    return found


def occlusion(
    model: keras.Model, images: np.ndarray, classes: Sequence[int] | np.ndarray | None = None, patches: int = PATCHES
) -> np.ndarray:
    """Returns maps of how much the class's logit falls where a gray square hides a part (Zeiler and Fergus, 2014, section 4.2).

    The square's side is a `patches`-th of the image's, and it moves by half of that; a position has the mean over the
    squares that cover it. Arguments and result as `grad_cam.grad_cam`.
    """
    logits, wanted = _logits_of(model), _wanted(model, images, classes)
    size = images.shape[1]
    side = max(1, round(size / patches))
    places = sorted({*range(0, size - side, max(1, side // 2)), size - side})
    squares = [(top, left) for top in places for left in places]
    before = np.take_along_axis(_asked(logits, images), wanted[:, None], axis=1)[:, 0]
    falls, covered = np.zeros(images.shape[:3], "float32"), np.zeros(images.shape[1:3], "float32")
    at_once = max(1, BATCH // max(1, len(images)))
    for first in range(0, len(squares), at_once):
        some = squares[first : first + at_once]
        hidden = np.repeat(np.asarray(images, "float32")[None], len(some), axis=0)
        for copy, (top, left) in zip(hidden, some, strict=True):
            copy[:, top : top + side, left : left + side] = GREY
        answers = _asked(logits, hidden.reshape(-1, *images.shape[1:])).reshape(len(some), len(images), -1)
        for (top, left), answer in zip(some, answers, strict=True):
            fall = before - np.take_along_axis(answer, wanted[:, None], axis=1)[:, 0]
            falls[:, top : top + side, left : left + side] += fall[:, None, None]
            covered[top : top + side, left : left + side] += 1
    return scaled(falls / covered)


def predicted(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Returns the class with the largest logit for each image, int64 [n]."""
    return _asked(_logits_of(model), images).argmax(axis=1)


def _wanted(model: keras.Model, images: np.ndarray, classes: Sequence[int] | np.ndarray | None) -> np.ndarray:
    return predicted(model, images) if classes is None else np.asarray(classes, "int64")


def _logits_of(model: keras.Model):
    def made():
        spec = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32)
        asked = tf.function(lambda images: model(images, training=False), input_signature=[spec], autograph=False)
        return asked.get_concrete_function()

    return traced(model, "logits", made)


def _asked(logits, images: np.ndarray) -> np.ndarray:
    found = [logits(as_pixels(images[i : i + BATCH])).numpy() for i in range(0, len(images), BATCH)]
    return np.concatenate(found) if found else np.empty((0, 1), "float32")


def _gradient(model: keras.Model):
    def run(images, classes):
        with tf.GradientTape() as tape:
            tape.watch(images)
            score = tf.gather(model(images, training=False), classes, batch_dims=1)
        return tape.gradient(score, images)

    specs = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32), tf.TensorSpec([None], tf.int64)
    return tf.function(run, input_signature=specs, autograph=False).get_concrete_function()
