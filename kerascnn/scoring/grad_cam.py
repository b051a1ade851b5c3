"""Grad-CAM and its kin: maps from the output of one stage of a network and from its gradient."""

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerascnn.errors import UserError

BATCH = 32
# How a method weighs features and gradient, [n, h, w, channels] each, before both are summed over the channels.
Weighing = Callable[[Any, Any], Any]
# The functions of a network for as long as it lives: tracing a deep one takes longer than the maps of a batch.
_TRACED: "weakref.WeakKeyDictionary[keras.Model, dict[Any, Callable[..., Any]]]" = weakref.WeakKeyDictionary()


def stages(model: keras.Model) -> list[str]:
    """Returns the names of the stages' outputs, first to last."""
    names = {layer.name for layer in model.layers}
    found = [f"stage{i}" for i in range(1, len(names)) if f"stage{i}" in names]
    if not found:
        raise UserError(f"{model.name} has no map, and no layers stage1, stage2, ...: Grad-CAM has nothing to show")
    return found


def has_maps(model: keras.Model) -> bool:
    """Returns whether Grad-CAM can explain a network: one of functions may have no maps."""
    return any(layer.name == "stage1" for layer in model.layers)


def grad_cam(
    model: keras.Model, images: np.ndarray, classes: Sequence[int] | np.ndarray | None = None, stage: str | None = None
) -> np.ndarray:
    """Returns Grad-CAM maps: how much each position supports a class (Selvaraju et al., 2017, section 3).

    The weight of a channel is the mean of its gradient.

    Args:
        model: A network of `models.build` that computes in float32; it is not changed.
        images: Raw pixels 0-255, [n, H, W, 3], of the model's size.
        classes: One per image; None for the predicted classes.
        stage: `stage1`, ...; None for the last one, which has the largest context and the lowest resolution.

    Returns:
        float32 [n, H, W] in 0..1, with a maximum of 1 for each image; all 0 if nothing supports the class.

    Raises:
        UserError: The model has no such stage.
    """
    return _maps(model, images, classes, stage, _by_mean_gradient)


def grad_cam_plus_plus(
    model: keras.Model, images: np.ndarray, classes: Sequence[int] | np.ndarray | None = None, stage: str | None = None
) -> np.ndarray:
    """Returns Grad-CAM++ maps (Chattopadhay et al., 2018, equations 18 to 20): arguments and result as `grad_cam`.

    The weight of a channel is a sum of its positive gradients, weighed so that several places of one class count alike.
    """
    return _maps(model, images, classes, stage, _by_positive_gradient)


def layer_cam(
    model: keras.Model, images: np.ndarray, classes: Sequence[int] | np.ndarray | None = None, stage: str | None = None
) -> np.ndarray:
    """Returns Layer-CAM maps (Jiang et al., 2021, section III): arguments and result as `grad_cam`.

    Each position of a channel has a weight of its own, its gradient where that is positive: early stages keep their detail.
    """
    return _maps(model, images, classes, stage, _by_own_positive_gradient)


def hires_cam(
    model: keras.Model, images: np.ndarray, classes: Sequence[int] | np.ndarray | None = None, stage: str | None = None
) -> np.ndarray:
    """Returns HiRes-CAM maps (Draelos and Carin, 2020, section 3.2): arguments and result as `grad_cam`.

    The weight of each position of a channel is its gradient. Where an average pool and one dense layer follow the stage,
    the map is that of Grad-CAM.
    """
    return _maps(model, images, classes, stage, _by_own_gradient)


def _by_mean_gradient(features: Any, gradient: Any) -> Any:
    return tf.reduce_mean(gradient, axis=(1, 2), keepdims=True) * features


def _by_positive_gradient(features: Any, gradient: Any) -> Any:
    """Weighs as for the score exp(logit), whose derivatives of every order are powers of the logit's gradient.

    Their common factor exp(logit) does not change a map, whose maximum is 1.
    """
    square = gradient**2
    total = tf.reduce_sum(features, axis=(1, 2), keepdims=True)
    shares = tf.math.divide_no_nan(square, 2 * square + total * square * gradient)
    return tf.reduce_sum(shares * tf.nn.relu(gradient), axis=(1, 2), keepdims=True) * features


def _by_own_positive_gradient(features: Any, gradient: Any) -> Any:
    return tf.nn.relu(gradient) * features


def _by_own_gradient(features: Any, gradient: Any) -> Any:
    return gradient * features


def _maps(
    model: keras.Model,
    images: np.ndarray,
    classes: Sequence[int] | np.ndarray | None,
    stage: str | None,
    weighing: Weighing,
) -> np.ndarray:
    known = stages(model)
    stage = stage or known[-1]
    if stage not in known:
        raise UserError(f"{model.name} has no {stage}: it has {', '.join(known)}")
    tapped = traced(model, stage, lambda: _tapped(model, stage))
    given = np.full(len(images), -1) if classes is None else np.asarray(classes)
    found = np.empty(images.shape[:3], "float32")
    for first in range(0, len(images), BATCH):
        some = slice(first, first + BATCH)
        features, gradient = tapped(as_pixels(images[some]), tf.constant(given[some], tf.int64))
        heat = tf.nn.relu(tf.reduce_sum(tf.cast(weighing(features, gradient), tf.float32), axis=-1, keepdims=True))
        found[some] = scaled(tf.image.resize(heat, images.shape[1:3])[..., 0].numpy())
    return found


def scaled(values: np.ndarray) -> np.ndarray:
    """Returns the positive part of [n, H, W], with a maximum of 1 for each image that has any."""
    heat = np.maximum(values, 0)
    most = heat.max(axis=(1, 2), keepdims=True, initial=0)
    return np.divide(heat, most, out=np.zeros_like(heat), where=most > 0)


def traced(model: keras.Model, key: Any, made: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    """Returns the function of a network by its key, which is made once for as long as the network lives."""
    kept = _TRACED.setdefault(model, {})
    if key not in kept:
        kept[key] = made()
    return kept[key]


def as_pixels(images: np.ndarray) -> Any:
    """Returns images as a float32 tensor."""
    return tf.constant(np.asarray(images, "float32"))


def _tapped(model: keras.Model, stage: str) -> Callable[[Any, Any], Any]:
    """Returns images and classes (-1: the predicted one) -> a stage's output and the gradient of the logit to it."""
    tapped = keras.Model(model.inputs, [model.get_layer(stage).output, model.output])

    def run(images, classes):
        with tf.GradientTape() as tape:
            tape.watch(images)  # the weights are not sufficient: those below the stage may be frozen
            features, logits = tapped(images, training=False)
            wanted = tf.where(classes < 0, tf.argmax(logits, axis=1), classes)
            score = tf.gather(logits, wanted, batch_dims=1)
        return features, tape.gradient(score, features)

    specs = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32), tf.TensorSpec([None], tf.int64)
    return tf.function(run, input_signature=specs, autograph=False).get_concrete_function()


def overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Returns a gray image under its heat: uint8 [H, W, 3] of pixels 0-255 [H, W, 3] and heat in 0..1 [H, W]."""
    from matplotlib import colormaps  # after `kerascnn.report`, which imports matplotlib whatever MPLBACKEND says

    grey = np.asarray(image, "float32").mean(axis=-1, keepdims=True).repeat(3, -1)
    colors = colormaps["inferno"](heat)[..., :3] * 255
    share = 0.35 + 0.3 * heat[..., None]
    return np.clip(grey * (1 - share) + colors * share, 0, 255).astype("uint8")
