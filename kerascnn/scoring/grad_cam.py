"""Grad-CAM of a network's stages, and tests of these maps."""

import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from scipy import stats

from kerascnn import models
from kerascnn.errors import UserError
from kerascnn.statistics import Interval, mean_interval, mean_share

BATCH = 32
GREY = 127.5
# The function of each stage, for as long as its network lives: tracing a deep network takes longer than the maps of a batch.
_TRACED: "weakref.WeakKeyDictionary[keras.Model, dict[str, Callable[[Any, Any], Any]]]" = weakref.WeakKeyDictionary()


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
    known = stages(model)
    stage = stage or known[-1]
    if stage not in known:
        raise UserError(f"{model.name} has no {stage}: it has {', '.join(known)}")
    kept = _TRACED.setdefault(model, {})
    run = kept.get(stage) or kept.setdefault(stage, _cam(model, stage))
    given = np.full(len(images), -1) if classes is None else np.asarray(classes)
    batches = range(0, len(images), BATCH)
    heat = [run(_pixels(images[i : i + BATCH]), tf.constant(given[i : i + BATCH], tf.int64)).numpy() for i in batches]
    return np.concatenate(heat) if heat else np.empty((0, *images.shape[1:3]), "float32")


def _pixels(images: np.ndarray) -> Any:
    return tf.constant(np.asarray(images, "float32"))


def _cam(model: keras.Model, stage: str) -> Callable[[Any, Any], Any]:
    tapped = keras.Model(model.inputs, [model.get_layer(stage).output, model.output])

    def run(images, classes):
        with tf.GradientTape() as tape:
            tape.watch(images)  # the weights are not sufficient: those below the stage may be frozen
            features, logits = tapped(images, training=False)
            wanted = tf.where(classes < 0, tf.argmax(logits, axis=1), classes)
            score = tf.gather(logits, wanted, batch_dims=1)
        weights = tf.reduce_mean(tape.gradient(score, features), axis=(1, 2), keepdims=True)
        heat = tf.nn.relu(tf.reduce_sum(tf.cast(weights * features, tf.float32), axis=-1, keepdims=True))
        heat = tf.image.resize(heat, tf.shape(images)[1:3])[..., 0]
        return tf.math.divide_no_nan(heat, tf.reduce_max(heat, axis=(1, 2), keepdims=True))

    specs = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32), tf.TensorSpec([None], tf.int64)
    return tf.function(run, input_signature=specs, autograph=False).get_concrete_function()


def overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Returns a gray image under its heat: uint8 [H, W, 3] of pixels 0-255 [H, W, 3] and heat in 0..1 [H, W]."""
    from matplotlib import colormaps  # after `kerascnn.report`, which imports matplotlib whatever MPLBACKEND says

    grey = np.asarray(image, "float32").mean(axis=-1, keepdims=True).repeat(3, -1)
    colors = colormaps["inferno"](heat)[..., :3] * 255
    share = 0.35 + 0.3 * heat[..., None]
    return np.clip(grey * (1 - share) + colors * share, 0, 255).astype("uint8")


class Confidences(NamedTuple):
    """Each image's confidence in the class predicted for the whole image, float64 [n], with some pixels gray.

    Attributes:
        before: With no pixel gray.
        hottest: With the hottest pixels gray.
        elsewhere: With a mask of the same form, shifted at random.
        scattered: With as many single pixels drawn at random: noise, which can hurt more than any hole.
    """

    before: np.ndarray
    hottest: np.ndarray
    elsewhere: np.ndarray
    scattered: np.ndarray

    @property
    def drop(self) -> np.ndarray:
        """The information of the map, `elsewhere - hottest`, whose mean is 0 for a map that is no better than chance."""
        return self.elsewhere - self.hottest


class Deletion(NamedTuple):
    """Means of `Confidences` and of `drop` over the images, with intervals."""

    before: Interval
    hottest: Interval
    elsewhere: Interval
    scattered: Interval
    drop: Interval


def deletion(
    infer: Callable[[Any], Any],
    images: np.ndarray,
    heat: np.ndarray,
    share: float = 0.2,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> Deletion:
    """Turns the hottest pixels gray and measures the loss of confidence (deletion: Petsiuk et al., 2018, section 3.2).

    Args:
        infer: Images float32 [batch, H, W, 3] in 0-255 -> probabilities [batch, C].
        images: Raw pixels, [n, H, W, 3].
        heat: Maps of the predicted classes, [n, H, W].
        share: Share of the pixels that become gray.
        seed: Seed of the random masks.
        groups: Group of each image, int [n], or None if images are independent.
    """
    found = confidences(infer, images, heat, share, seed)
    before, hottest, elsewhere, scattered = (mean_share(values, groups) for values in found)
    return Deletion(before, hottest, elsewhere, scattered, _signed(found.drop, groups))


def confidences(
    infer: Callable[[Any], Any], images: np.ndarray, heat: np.ndarray, share: float = 0.2, seed: int = 0
) -> Confidences:
    """Returns the values of `deletion` by image, to compare networks on the same images; equal seeds draw equal shifts."""
    rng = np.random.default_rng(seed)
    hottest = _highest(heat, share)
    shifts = [tuple(int(rng.integers(1, side)) for side in mask.shape) for mask in hottest]
    moved = np.stack([np.roll(mask, shift, axis=(0, 1)) for mask, shift in zip(hottest, shifts, strict=True)])
    scattered = _highest(rng.random(heat.shape), share)
    answered = _ask(infer, images).argmax(axis=1)[:, None]

    def confidence(mask: np.ndarray) -> np.ndarray:
        return np.take_along_axis(_ask(infer, images, mask), answered, axis=1)[:, 0].astype("float64")

    return Confidences(*(confidence(mask) for mask in (np.zeros_like(hottest), hottest, moved, scattered)))


def _highest(values: np.ndarray, share: float) -> np.ndarray:
    """Returns masks of the highest `share` of each [H, W]; ties are taken from the upper left."""
    mask = np.zeros(values.shape, bool)
    for place, one in zip(mask, values, strict=True):
        place.flat[np.argsort(-one, axis=None, kind="stable")[: round(share * one.size)]] = True
    return mask


def _ask(infer: Callable[[Any], Any], images: np.ndarray, grey: np.ndarray | None = None) -> np.ndarray:
    """Returns the probabilities, [n, C], batch by batch; pixels are gray where `grey` [n, H, W] is true."""
    answers = []
    for first in range(0, len(images), BATCH):
        pixels = np.asarray(images[first : first + BATCH], "float32")
        if grey is not None:
            pixels = np.where(grey[first : first + BATCH, ..., None], np.float32(GREY), pixels)
        answers.append(np.asarray(infer(tf.constant(pixels))))
    return np.concatenate(answers)


def head_matters(
    model: keras.Model,
    images: np.ndarray,
    stage: str | None = None,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> Interval | None:
    """Returns the rank correlation of maps before and after randomizing the head, for the same classes.

    This is the sanity check of Adebayo et al., 2018 (section 4): a map that stays the same does not show what the network
    learned. Near 1 is bad, near 0 is good. The model's weights are restored.

    Returns:
        Mean of Spearman's correlation over the images whose maps are not empty, with its interval; None where
        there are none.
    """
    answers = _ask(tf.function(lambda batch: model(batch, training=False), reduce_retracing=True), images).argmax(
        axis=1
    )
    before = grad_cam(model, images, answers, stage)
    head = models.head(model)
    kept, rng = head.get_weights(), np.random.default_rng(seed)
    try:
        head.set_weights([rng.normal(0, max(float(part.std()), 1e-3), part.shape) for part in kept])
        after = grad_cam(model, images, answers, stage)
    finally:
        head.set_weights(kept)
    kept_maps = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if np.ptp(a) and np.ptp(b)]
    if not kept_maps:
        return None
    correlations = [stats.spearmanr(before[i].ravel(), after[i].ravel()).statistic for i in kept_maps]
    return _signed(np.array(correlations), None if groups is None else groups[kept_maps])


def _signed(values: np.ndarray, groups: np.ndarray | None) -> Interval:
    """Returns the mean of numbers from -1 to 1, with an interval within these bounds."""
    found = mean_interval(values, groups)
    return found._replace(low=max(found.low, -1.0), high=min(found.high, 1.0))
