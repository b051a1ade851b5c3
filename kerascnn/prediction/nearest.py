"""The nearest images in the space of a network's features, by the cosine of the angle between them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from kerascnn.artefacts.features import normalized
from kerascnn.prediction.feature_files import Features


class Neighbor(NamedTuple):
    """An image that resembles another.

    Attributes:
        path: Its path.
        similarity: Cosine of the angle between the features, -1 to 1; 1 for equal directions.
    """

    path: str
    similarity: float


def nearest(query: Features, among: Iterable[Features], count: int) -> list[list[Neighbor]]:
    """Returns the nearest images of each query, the nearest first, without the query itself.

    Args:
        query: The images that are asked about.
        among: The images that are searched, in parts; only one is in memory.
        count: Neighbors of each query.
    """
    asked = normalized(query.values)
    found: list[list[Neighbor]] = [[] for _ in query.paths]
    for part in among:
        similar = asked @ normalized(part.values).T
        for own, row, kept in zip(query.paths, similar, found, strict=True):
            kept += _best(own, row, part.paths, count)
            kept.sort(key=lambda neighbor: -neighbor.similarity)
            del kept[count:]
    return found


def _best(own: str, row: np.ndarray, paths: Sequence[str], count: int) -> list[Neighbor]:
    """Returns the most similar images of one part, and one more in case that the query is among them."""
    places = np.argpartition(-row, min(count, len(row) - 1))[: count + 1]
    return [Neighbor(paths[place], float(row[place])) for place in places if paths[place] != own]
