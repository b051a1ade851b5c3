"""Grids of images with a line of text each: first batches, predictions, worst mistakes, Grad-CAM maps."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from kerascnn.report import label_pictures
from kerascnn.report.axes import short
from kerascnn.report.drawing import INK, RIGHT, WRONG, Panel, Picture
from kerascnn.scoring.predictions import Predictions

# Largest number of images in a grid.
GALLERY = 24
_COLUMNS = 6
# Inches: width and height of an image with its title, side of the image, distance to its neighbors.
_CELL, _GAP = (1.75, 2.1), 0.05
_SIDE = _CELL[0] - 2 * _GAP


def images_with_titles(
    images: np.ndarray,
    titles: Sequence[str],
    *,
    wrong: Sequence[bool] | None = None,
    heading: str = "",
    columns: int = _COLUMNS,
) -> Picture:
    """Draws images with a title each.

    Args:
        images: Raw pixels 0-255, [n, H, W, 3]; the first GALLERY are shown.
        titles: One per image; a newline starts its second line.
        wrong: For each image, whether its title is red (otherwise green); None for plain titles.
        heading: Title above all.
        columns: Largest number of images in a row.
    """
    shown = min(len(images), GALLERY)
    columns = min(columns, max(shown, 1))
    rows = max(math.ceil(shown / columns), 1)

    def draw(figure: Panel) -> None:
        small = images.shape[1] <= 64
        # One pair of axes: the layout of 24 takes a second. Its unit is an inch, from the top left corner.
        axis = figure.subplots()
        axis.axis("off")
        for i in range(shown):
            row, column = divmod(i, columns)
            left, bottom = column * _CELL[0] + _GAP, (row + 1) * _CELL[1] - _GAP
            pixels = np.clip(np.asarray(images[i]), 0, 255).astype("uint8")
            place = (left, left + _SIDE, bottom, bottom - _SIDE)
            axis.imshow(pixels, extent=place, interpolation="nearest" if small else "antialiased")
            color = INK if wrong is None else WRONG if wrong[i] else RIGHT
            words = "\n".join(short(line, 32) for line in titles[i].split("\n"))
            middle = left + _SIDE / 2, bottom - _SIDE - _GAP
            axis.text(*middle, words, fontsize=8, color=color, ha="center", va="bottom")
        axis.set(xlim=(0, columns * _CELL[0]), ylim=(rows * _CELL[1], 0))

    size = (_CELL[0] * max(columns, 3), _CELL[1] * rows if shown else 0.3)
    return Picture(heading, "", size, draw if shown else lambda figure: None, "images")


def predictions(
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    heading: str = "",
    predicted: np.ndarray | None = None,
) -> Picture:
    """Draws images with their predictions: green if right, red with the truth below if wrong.

    Args:
        images: Raw pixels 0-255, [n, H, W, 3].
        labels: True classes, [n], or several labels, bool [n, C].
        probabilities: [n, C].
        class_names: C names.
        heading: Title above all.
        predicted: The predicted labels of images with several, bool [n, C].
    """
    if predicted is not None and labels.ndim == 2:
        rows = zip(predicted, labels, probabilities, strict=True)
        titles = [label_pictures.title(*row, class_names) for row in rows]
        wrong = list((predicted != labels).any(axis=1))
        return images_with_titles(images, titles, wrong=wrong, heading=heading)
    predicted = probabilities.argmax(axis=1)
    titles = [
        f"{short(class_names[one], 22)} {probability[one]:.0%}"
        + (f"\ntruth: {short(class_names[label], 18)} {probability[label]:.0%}" if one != label else "")
        for label, one, probability in zip(labels, predicted, probabilities, strict=True)
    ]
    return images_with_titles(images, titles, wrong=list(predicted != labels), heading=heading)


def worst_mistakes(images: np.ndarray, found: Predictions, class_names: Sequence[str]) -> Picture:
    """Draws the worst mistakes, each with its prediction and the truth.

    Args:
        images: Raw pixels 0-255 of the images of `mistakes(labels, probabilities)`, in its order.
        found: Predictions of all images.
        class_names: C names.

    Raises:
        ValueError: The number of images differs from that of the mistakes.
    """
    worst = found.worst(GALLERY)
    if len(images) != len(worst):
        raise ValueError(f"expected the {len(worst)} worst mistakes, got {len(images)}")
    total = int((~found.correct).sum())
    heading = f"the {len(worst)} worst of {total} mistakes among {len(found)} images"
    if not total:
        heading = f"no mistakes among {len(found)} images"
    predicted = found.predicted[worst]
    return predictions(images, found.labels[worst], found.probabilities[worst], class_names, heading, predicted)


def maps(images: np.ndarray, overlays: Sequence[np.ndarray], titles: Sequence[str], wrong: Sequence[bool]) -> Picture:
    """Draws images beside their Grad-CAM overlays, both uint8 [n, H, W, 3]; up to 12."""
    shown = min(len(images), GALLERY // 2)
    pairs = [picture for i in range(shown) for picture in (images[i], overlays[i])]
    words = [word for i in range(shown) for word in (titles[i], "where it looks")]
    color = [bool(wrong[i]) for i in range(shown) for _ in range(2)]
    heading = "Grad-CAM of the prediction, last stage"
    return images_with_titles(np.stack(pairs), words, wrong=color, heading=heading)


def maps_by_method(
    images: np.ndarray, overlays: Mapping[str, Sequence[np.ndarray]], titles: Sequence[str], wrong: Sequence[bool]
) -> Picture:
    """Draws a row for each image, uint8 [n, H, W, 3]: itself, and its overlay by each method, by its title."""
    rows = [[images[i], *(drawn[i] for drawn in overlays.values())] for i in range(len(images))]
    words = [word for i in range(len(images)) for word in (titles[i], *overlays)]
    color = [bool(wrong[i]) for i in range(len(images)) for _ in range(1 + len(overlays))]
    heading = "What supports the prediction, by method"
    pictures = np.stack([picture for row in rows for picture in row])
    return images_with_titles(pictures, words, wrong=color, heading=heading, columns=1 + len(overlays))
