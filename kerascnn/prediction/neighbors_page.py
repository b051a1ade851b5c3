"""The page of `kerascnn neighbors`: each image beside those that resemble it most."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kerascnn.artefacts import Predictor
from kerascnn.prediction.embedding import seen
from kerascnn.prediction.nearest import Neighbor
from kerascnn.report.page import ImageRow, ImageRows, NeighborsPage, ShownImage
from kerascnn.runs import shown_command

MOST = 40  # images with their neighbors, so that a page stays small


def page(
    predictor: Predictor, network: str, paths: Sequence[str], found: Sequence[Sequence[Neighbor]]
) -> NeighborsPage:
    """Returns the page.

    Args:
        predictor: Decodes the images as the network sees them.
        network: What was asked, for the title.
        paths: The images that were asked about.
        found: The neighbors of each.
    """
    rows = [
        ImageRow(
            path, (_shown(predictor, path, "the image"), *(_shown(predictor, one.path, _said(one)) for one in near))
        )
        for path, near in zip(paths[:MOST], found, strict=False)
    ]
    rest = f" The first {MOST} of {len(paths):,} images." if len(paths) > MOST else ""
    return NeighborsPage(
        name=f"Nearest images by {Path(network).name}",
        about=f"Cosine of the angle between features: 1 is the same direction, 0 is unrelated.{rest}",
        images=ImageRows("Images and their neighbors", "", tuple(rows)),
        repeat=(shown_command(),),
    )


def _said(neighbor: Neighbor) -> str:
    return f"{neighbor.similarity:.3f}"


def _shown(predictor: Predictor, path: str, text: str) -> ShownImage:
    pixels = seen(predictor, path)
    missing = np.full((predictor.image_size, predictor.image_size, 3), 127, np.uint8)
    return ShownImage(missing if pixels is None else pixels, Path(path).name, text)
