"""Trackers of experiments: TensorBoard, MLflow and W&B get the same scalars, pictures, config, scores and files.

`trackers.opened` gives the trackers of a run, `studies.opened` those of a comparison or search. No TensorFlow here.
"""

from collections.abc import Sequence

from kerascnn.cli.extras import require
from kerascnn.config import Logging

# Value of --track -> (module, class, packages that it needs). The extra has the name of the tracker.
TRACKERS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "tensorboard": ("kerascnn.tracking.board", "Board", ()),
    "mlflow": ("kerascnn.tracking.mlflow_runs", "MlflowRun", ("mlflow",)),
    "wandb": ("kerascnn.tracking.wandb_runs", "WandbRun", ("wandb",)),
}


def check(names: Sequence[str]) -> None:
    """Raises UserError, with the line of pip, if a tracker's package is not installed."""
    for name in names:
        require(name, *TRACKERS[name][2])


def group_of(logging: Logging, study: str) -> str | None:
    """Returns the group of a study's runs: that of --track-group, else the study; None if only TensorBoard is written."""
    return (logging.track_group or study) if any(name != "tensorboard" for name in logging.track) else None
