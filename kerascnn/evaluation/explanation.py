"""Measures how well a network's class maps explain its predictions: Grad-CAM by stage, and every method beside it."""

import functools
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerascnn.cli.progress import SILENT, Phases
from kerascnn.evaluation import boxes
from kerascnn.evaluation.evaluated_model import EvaluatedModel, spread
from kerascnn.scoring import class_maps, grad_cam, map_tests
from kerascnn.statistics import Interval, mean_share, proportion

METHODS_MOST = 100  # images of the methods: occlusion alone asks the network 169 times for each
_TAKEN = tuple[np.ndarray, np.ndarray | None]  # images and their groups


def measured(
    subject: EvaluatedModel, most: int | None, boxes_file: Path | None = None, phases: Phases = SILENT
) -> dict[str, Any]:
    """Returns the deletion score and sanity check of Grad-CAM for every stage, and what is measured of every method.

    Args:
        subject: The network and the images.
        most: Largest number of images of the stages, spread over the split; the methods take METHODS_MOST of them.
        boxes_file: Table of boxes for the pointing game, see `boxes.read`; None for none.
        phases: Shows the progress.

    Returns:
        n, and by stage: before, hottest, elsewhere, drop (mean confidences; see `map_tests.Deletion`) and head_correlation
        (`map_tests.head_matters`; None where every map is empty), each with its interval. Also methods: n, and by method the
        same without the stages, the `map_tests.CurveAreas`, and with boxes hits, and boxes: n, chance and center.
    """
    model = subject.network()
    known = boxes.find(subject, boxes_file) if boxes_file is not None else None
    batches = list(subject.images(most))
    images, indices = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    groups = subject.groups(np.array(subject.split.ids())[indices])
    found: dict[str, Any] = {"n": len(images), "stages": {}}
    stages = grad_cam.stages(model) if grad_cam.has_maps(model) else []
    if stages:
        with phases.phase("measuring Grad-CAM by stage", len(stages)) as phase:
            for stage in phase.over(stages):
                maps = functools.partial(grad_cam.grad_cam, stage=stage)
                found["stages"][stage] = _tested(subject, model, (images, groups), maps(model, images), maps)
    some = spread(len(images), METHODS_MOST)
    taken = images[some], None if groups is None else np.unique(groups[some], return_inverse=True)[1]
    found["methods"] = _by_method(subject, model, taken, known, phases)
    return found


def _by_method(
    subject: EvaluatedModel, model: keras.Model, taken: _TAKEN, known: boxes.Cases | None, phases: Phases
) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    methods = class_maps.offered(model)
    with phases.phase("measuring maps by method", len(methods)) as phase:
        for method in phase.over(methods):
            maps = functools.partial(class_maps.class_maps, method=method)
            heat = maps(model, taken[0])
            areas = map_tests.curve_areas(subject.predictor.infer, taken[0], heat, groups=taken[1])
            rows[method] = _tested(subject, model, taken, heat, maps) | _as_dicts(areas)
            if known is not None:
                hits = map_tests.hits(maps(model, known.images, known.classes), known.inside)
                rows[method]["hits"] = proportion(hits, known.groups)._asdict()
    found: dict[str, Any] = {"n": len(taken[0]), "rows": rows}
    if known is not None:
        center = known.inside.shape[1] // 2
        found["boxes"] = {
            "n": len(known.images),
            "chance": mean_share(known.inside.mean(axis=(1, 2)), known.groups)._asdict(),
            "center": proportion(known.inside[:, center, center], known.groups)._asdict(),
        }
    return found


def _tested(
    subject: EvaluatedModel, model: keras.Model, taken: _TAKEN, heat: np.ndarray, maps: map_tests.Maps
) -> dict[str, Any]:
    images, groups = taken
    infer = subject.predictor.infer
    deletion = map_tests.deletion(infer, images, heat, groups=groups)
    correlation = map_tests.head_matters(model, images, heat, maps, groups=groups)
    return {**_as_dicts(deletion), "head_correlation": None if correlation is None else correlation._asdict()}


def _as_dicts(row: map_tests.Deletion | map_tests.CurveAreas) -> dict[str, Any]:
    intervals: dict[str, Interval] = row._asdict()
    return {name: interval._asdict() for name, interval in intervals.items()}
