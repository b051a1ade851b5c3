"""Measures how well a network's Grad-CAM maps explain its predictions."""

from typing import Any

import numpy as np

from kerascnn.cli.progress import SILENT, Phases
from kerascnn.evaluation.evaluated_model import EvaluatedModel
from kerascnn.scoring import grad_cam


def measured(subject: EvaluatedModel, most: int | None, phases: Phases = SILENT) -> dict[str, Any]:
    """Returns the deletion score and sanity check of Grad-CAM for every stage.

    Returns:
        n, and by stage: before, hottest, elsewhere, drop (mean confidences; see `grad_cam.Deletion`) and head_correlation
        (`grad_cam.head_matters`; None where every map is empty), each with its interval.
    """
    model = subject.network()
    batches = list(subject.images(most))
    images, indices = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    groups = subject.groups(np.array(subject.split.ids())[indices])
    found: dict[str, Any] = {"n": len(images), "stages": {}}
    stages = grad_cam.stages(model)
    with phases.phase("measuring Grad-CAM by stage", len(stages)) as phase:
        for stage in phase.over(stages):
            heat = grad_cam.grad_cam(model, images, stage=stage)
            deletion = grad_cam.deletion(subject.predictor.infer, images, heat, groups=groups)
            correlation = grad_cam.head_matters(model, images, stage, groups=groups)
            found["stages"][stage] = {
                **{name: interval._asdict() for name, interval in deletion._asdict().items()},
                "head_correlation": None if correlation is None else correlation._asdict(),
            }
    return found
