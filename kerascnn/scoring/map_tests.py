"""What can be measured of maps: whether hiding the hottest pixels hurts, whether the head matters, whether they hit boxes."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from scipy import stats

from kerascnn import models
from kerascnn.scoring import pixel_maps
from kerascnn.statistics import Interval, mean_interval, mean_share

BATCH = 32
GREY = 127.5
STEPS = 10  # of a curve: a tenth of the pixels each
Maps = Callable[[keras.Model, np.ndarray, np.ndarray], np.ndarray]


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
    moved = _moved(hottest, rng)
    scattered = _highest(rng.random(heat.shape), share)
    answered = _ask(infer, images).argmax(axis=1)[:, None]

    def confidence(mask: np.ndarray) -> np.ndarray:
        return np.take_along_axis(_ask(infer, images, mask), answered, axis=1)[:, 0].astype("float64")

    return Confidences(*(confidence(mask) for mask in (np.zeros_like(hottest), hottest, moved, scattered)))


def _moved(maps: np.ndarray, seed: int | np.random.Generator) -> np.ndarray:
    """Returns maps or masks [n, H, W], each shifted at random, around its edges."""
    rng = np.random.default_rng(seed)
    shifts = [tuple(int(rng.integers(1, side)) for side in one.shape) for one in maps]
    return np.stack([np.roll(one, shift, axis=(0, 1)) for one, shift in zip(maps, shifts, strict=True)])


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


class MapCurves(NamedTuple):
    """Confidence in the predicted class while pixels change in the order of a map, float64 [n, STEPS + 1].

    Attributes:
        deletion: From the whole image to gray, the hottest pixels first: it falls early where the map is right.
        insertion: From gray to the whole image, the hottest pixels first: it rises early where the map is right.
    """

    deletion: np.ndarray
    insertion: np.ndarray

    def areas(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the area under both curves of each image, as means over the share of pixels, 0..1."""
        deletion, insertion = (np.trapezoid(curve, axis=1) / STEPS for curve in self)
        return deletion, insertion


def curves(infer: Callable[[Any], Any], images: np.ndarray, heat: np.ndarray) -> MapCurves:
    """Returns the deletion and insertion curves of each image (Petsiuk et al., 2018, section 3.2), in steps of a tenth.

    Args:
        infer: As in `deletion`.
        images: Raw pixels, [n, H, W, 3].
        heat: Maps of the predicted classes, [n, H, W].
    """
    answered = _ask(infer, images).argmax(axis=1)[:, None]
    found: list[list[np.ndarray]] = [[], []]
    for step in range(STEPS + 1):
        hot = _highest(heat, step / STEPS)
        for curve, grey in zip(found, (hot, ~hot), strict=True):
            curve.append(np.take_along_axis(_ask(infer, images, grey), answered, axis=1)[:, 0].astype("float64"))
    return MapCurves(*(np.stack(curve, axis=1) for curve in found))


class CurveAreas(NamedTuple):
    """Means over the images of the areas under `MapCurves`, with intervals.

    Attributes:
        deletion, insertion: Of the maps: low and high is good.
        deletion_gain, insertion_gain: How much better the maps are than the same maps shifted at random: 0 is chance.
    """

    deletion: Interval
    insertion: Interval
    deletion_gain: Interval
    insertion_gain: Interval


def curve_areas(
    infer: Callable[[Any], Any],
    images: np.ndarray,
    heat: np.ndarray,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> CurveAreas:
    """Returns the areas under `curves`, beside those of shifted maps; arguments as in `deletion`."""
    deletion, insertion = curves(infer, images, heat).areas()
    deletion_moved, insertion_moved = curves(infer, images, _moved(heat, seed)).areas()
    return CurveAreas(
        mean_share(deletion, groups),
        mean_share(insertion, groups),
        _signed(deletion_moved - deletion, groups),
        _signed(insertion - insertion_moved, groups),
    )


def hits(heat: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Returns whether the hottest pixel of each map lies inside (pointing game: Zhang et al., 2016, section 4.2), bool [n].

    An empty map hits nothing.

    Args:
        heat: Maps, [n, H, W].
        inside: What they should point at, bool [n, H, W].
    """
    flat = heat.reshape(len(heat), -1)
    hottest = flat.argmax(axis=1)
    return inside.reshape(len(heat), -1)[np.arange(len(heat)), hottest] & (flat.max(axis=1) > 0)


def head_matters(
    model: keras.Model,
    images: np.ndarray,
    heat: np.ndarray,
    maps: Maps,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> Interval | None:
    """Returns the rank correlation of maps before and after randomizing the head, for the same classes.

    This is the sanity check of Adebayo et al., 2018 (section 4): a map that stays the same does not show what the network
    learned. Near 1 is bad, near 0 is good. The model's weights are restored.

    Args:
        model: The network.
        images: Raw pixels, [n, H, W, 3].
        heat: Maps of the predicted classes, [n, H, W].
        maps: Network, images and classes -> maps [n, H, W].
        seed: Seed of the random head.
        groups: As in `deletion`.

    Returns:
        Mean of Spearman's correlation over the images whose maps are not empty, with its interval; None where
        there are none.
    """
    answers = pixel_maps.predicted(model, images)
    head = models.head(model)
    kept, rng = head.get_weights(), np.random.default_rng(seed)
    try:
        head.set_weights([rng.normal(0, max(float(part.std()), 1e-3), part.shape) for part in kept])
        after = maps(model, images, answers)
    finally:
        head.set_weights(kept)
    kept_maps = [i for i, (a, b) in enumerate(zip(heat, after, strict=True)) if np.ptp(a) and np.ptp(b)]
    if not kept_maps:
        return None
    correlations = [stats.spearmanr(heat[i].ravel(), after[i].ravel()).statistic for i in kept_maps]
    return _signed(np.array(correlations), None if groups is None else groups[kept_maps])


def _signed(values: np.ndarray, groups: np.ndarray | None) -> Interval:
    """Returns the mean of numbers from -1 to 1, with an interval within these bounds."""
    found = mean_interval(values, groups)
    return found._replace(low=max(found.low, -1.0), high=min(found.high, 1.0))
