"""Neighbors in the feature space of a run: pairs of images that are far closer to each other than to any other image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kerascnn import artefacts
from kerascnn.artefacts import features
from kerascnn.cli.progress import SILENT, Phases
from kerascnn.data import Splits, pipeline
from kerascnn.runs import Run

BATCH = 64
CLOSER = 0.35  # times the distance to the second neighbor, on both sides, chosen by planted crops
ROWS = 1024  # images whose distances to all others are computed at once


class FeaturePair(NamedTuple):
    """Two images that are each other's nearest neighbors: ids, distance (1 - cosine), and its ratio to the second neighbor's."""

    first: str
    second: str
    distance: float
    ratio: float


def features_of(run: Run, splits: Splits, phases: Phases = SILENT) -> tuple[list[str], np.ndarray]:
    """Returns the ids of all decodable images, and their features, float16 [n, channels] of length 1.

    Raises:
        UserError: The run has no network, or none with a layer `pool`.
    """
    infer = features.function(artefacts.open(run.path), run.path)
    ids: list[str] = []
    rows: list[np.ndarray] = []
    with phases.phase("computing features", sum(map(len, splits.parts()))) as phase:
        for part in splits.parts():
            if not len(part):
                continue
            names, first = part.ids(), 0
            with pipeline.telling(part.source):
                for images, _, weights in pipeline.scoring(part, splits, BATCH):
                    valid = np.flatnonzero(weights.numpy() > 0)
                    found = infer(images).numpy()[valid].astype(np.float32)
                    rows.append(features.normalized(found).astype(np.float16))
                    ids += [names[first + int(row)] for row in valid]
                    first += len(weights)
                    phase.advance(len(valid))
    return ids, np.concatenate(rows)


def neighbors(ids: list[str], found: np.ndarray, phases: Phases = SILENT, closer: float = CLOSER) -> list[FeaturePair]:
    """Returns pairs of mutual nearest neighbors that are much closer to each other than to their second neighbors.

    Args:
        ids: Names of n images.
        found: Their features, [n, channels] of length 1.
        phases: Where the progress is shown.
        closer: Largest ratio of the distance to that of the second neighbor, for both images.
    """
    count = len(ids)
    if count < 3:
        return []
    nearest, distances = np.zeros(count, np.int64), np.zeros((count, 2), np.float32)
    columns = found.astype(np.float32)
    with phases.phase("comparing features", count) as phase:
        for start in range(0, count, ROWS):
            rows = np.arange(start, min(start + ROWS, count))
            away = 1.0 - columns[rows] @ columns.T
            away[np.arange(len(rows)), rows] = np.inf
            two = np.argpartition(away, 1, axis=1)[:, :2]
            values = np.take_along_axis(away, two, axis=1)
            order = values.argsort(axis=1)
            distances[rows] = np.maximum(np.take_along_axis(values, order, axis=1), 0)
            nearest[rows] = np.take_along_axis(two, order, axis=1)[:, 0]
            phase.advance(len(rows))
    ratio = distances[:, 0] / np.maximum(distances[:, 1], 1e-6)
    mutual = (nearest[nearest] == np.arange(count)) & (np.arange(count) < nearest)
    worst = np.maximum(ratio, ratio[nearest])
    chosen = np.flatnonzero(mutual & (worst <= closer))
    chosen = chosen[np.argsort(worst[chosen], kind="stable")]
    return [FeaturePair(ids[i], ids[int(nearest[i])], float(distances[i, 0]), float(worst[i])) for i in chosen]
