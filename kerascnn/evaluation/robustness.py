"""The headline score on degraded images, and with several views of each image."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from kerascnn.cli.progress import SILENT, Phases
from kerascnn.data import corruptions
from kerascnn.evaluation.evaluated_model import EvaluatedModel, View
from kerascnn.scoring.predictions import Predictions
from kerascnn.statistics import proportion

# Sides to which an image is scaled down, as shares of its size.
RESOLUTIONS = (1.0, 0.75, 0.5, 0.375, 0.25, 0.125)
CROP = 0.875
SHIFT = 1 / 32


def _flip(images: np.ndarray, places: np.ndarray) -> Iterator[np.ndarray]:
    yield images
    yield images[:, :, ::-1]


def _crops(images: np.ndarray, places: np.ndarray) -> Iterator[np.ndarray]:
    """The whole image, its center and four corners, each also mirrored (Krizhevsky et al., 2012, section 4.1, and the whole)."""
    side = images.shape[1]
    kept = round(CROP * side)
    far = side - kept
    corners = [(0, 0), (0, far), (far, 0), (far, far), (far // 2, far // 2)]
    for view in (images, *(_cut(images, top, left, kept) for top, left in corners)):
        yield view
        yield view[:, :, ::-1]


def _shifts(images: np.ndarray, places: np.ndarray) -> Iterator[np.ndarray]:
    """The whole image, and moved diagonally by 1/32 of its side both ways, each also mirrored (Jordan, 2024, section 3.5).

    The border is zero, as in training.
    """
    height, width = images.shape[1:3]
    most = max(1, round(SHIFT * height))
    frame = np.pad(images, ((0, 0), (most, most), (most, most), (0, 0)))
    for start in (most, 0, 2 * most):
        view = frame[:, start : start + height, start : start + width]
        yield view
        yield view[:, :, ::-1]


def _cut(images: np.ndarray, top: int, left: int, kept: int) -> np.ndarray:
    side = images.shape[1:3]
    cut = images[:, top : top + kept, left : left + kept]
    return np.stack([np.asarray(Image.fromarray(one).resize(side[::-1], Image.Resampling.BILINEAR)) for one in cut])


VIEWS: dict[str, View] = {"flip": _flip, "shifts": _shifts, "crops": _crops}


def under_corruptions(subject: EvaluatedModel, most: int | None, phases: Phases = SILENT) -> list[dict[str, Any]]:
    """Returns rows of corruption, severity, and the headline score, such as accuracy, with interval and n."""
    rows, sample = [], subject.sample(most)
    every = list(itertools.product(corruptions.CORRUPTIONS, corruptions.SEVERITIES))
    with phases.phase("scoring under corruptions", len(every)) as phase:
        for name, severity in phase.over(every):

            def worse(
                images: np.ndarray, places: np.ndarray, name: str = name, severity: int = severity
            ) -> Iterator[np.ndarray]:
                yield corruptions.corrupt(images, name, severity, places)

            rows.append(
                {"corruption": name, "severity": severity, **_headline(subject, subject.predictions(worse, sample))}
            )
    return rows


def over_resolutions(subject: EvaluatedModel, most: int | None, phases: Phases = SILENT) -> list[dict[str, Any]]:
    """Returns rows of pixels, and the headline score with interval and n, for images that are scaled down and up again."""
    rows, sample = [], subject.sample(most)
    with phases.phase("scoring at lower resolutions", len(RESOLUTIONS)) as phase:
        for share in phase.over(RESOLUTIONS):

            def smaller(images: np.ndarray, places: np.ndarray, share: float = share) -> Iterator[np.ndarray]:
                yield images if share == 1 else np.stack([corruptions.smaller(image, share) for image in images])

            pixels = round(share * subject.predictor.image_size)
            rows.append({"pixels": pixels, **_headline(subject, subject.predictions(smaller, sample))})
    return rows


def _headline(subject: EvaluatedModel, predictions: Predictions) -> dict[str, Any]:
    task, groups = predictions.task, subject.groups(predictions.ids)
    if task.several:
        found = task.measured(task.rows, predictions, groups)
        return found[task.leading(found).name]
    return proportion(predictions.correct, groups)._asdict()
