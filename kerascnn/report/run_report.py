"""Writes the page at the end of a training."""

from collections.abc import Mapping
from typing import Any

from kerascnn.data import Split
from kerascnn.report.html import run_html
from kerascnn.report.run_page import run_page
from kerascnn.report.run_pictures import PICTURED, worst
from kerascnn.runs import Run
from kerascnn.scoring.predictions import Predictions


def write(
    run: Run,
    split: Split | None = None,
    predictions: Predictions | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> None:
    """Writes report.html of a scored run; with a split and its predictions also its worst mistakes.

    It has no maps, which take longer than all the rest: `evaluate` adds them.

    Args:
        run: A run with all files except metrics.json.
        split: The images that were scored.
        predictions: Their predictions.
        metrics: The content of metrics.json; default: that of the file.
    """
    gallery = None
    if split is not None and predictions is not None:
        assert predictions.indices is not None
        indices = split.indices[predictions.indices[predictions.worst(PICTURED)]]
        images = split.source.fetch(indices).numpy()
        gallery = worst(split.name, predictions, run.data()["class_names"], images)
    run.write_report(run_html(run_page(run, gallery, metrics)))
