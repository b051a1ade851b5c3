"""Completes a finished run that lacks files because of an earlier version or a kill, from what it has kept."""

import contextlib

from kerascnn.data import Splits
from kerascnn.errors import UserError
from kerascnn.report import run_report
from kerascnn.runs import Run
from kerascnn.scoring.predictions import Predictions


def mend(run: Run, splits: Splits, *, draw: bool) -> bool:
    """Writes the report of a finished run that has none, and removes what killed processes left aside.

    A run that another process works in, or that is read-only, stays as it is.

    Args:
        run: A finished run.
        splits: Its data.
        draw: Whether the report shows images.

    Returns:
        Whether the report was missing and is there now.
    """
    run.tidy()
    if run.report_file.exists():
        return False
    metrics = run.metrics()
    scored = [split for split in splits.parts()[1:] if split.name in metrics and run.has_predictions(split.name)]
    if not scored:
        return False
    with contextlib.suppress(UserError, OSError), run.lock():
        split = scored[-1]
        predictions = Predictions.load(run, split.name)
        pictured = draw and predictions.indices is not None
        run_report.write(run, *(split, predictions) if pictured else ())
    return run.report_file.exists()
