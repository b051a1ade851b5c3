"""MLflow as a tracker: its local store, or the server that MLFLOW_TRACKING_URI names. Nothing is logged by itself."""

import logging
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kerascnn.runs.files import read_json
from kerascnn.tracking import kept
from kerascnn.tracking.tracker import FAILED, FINISHED, STOPPED, STUDY, Point, Subject, Tracker

EXPERIMENT = "kerascnn"  # unless MLFLOW_EXPERIMENT_NAME names another one
GROUP, KIND = "kerascnn.group", "kerascnn.kind"
PARENT = "mlflow.parentRunId"
# A stopped run is continued by the same command.
STATUS = {FINISHED: "FINISHED", STOPPED: "SCHEDULED", FAILED: "FAILED"}
# A server that does not reply is asked again by `Background`, not by the library, whose own patience is minutes.
LIMITS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
MOST_POINTS, MOST_PARAMS, LONGEST_PARAM = 1000, 100, 500  # limits of a request
# Errors of a request that would fail again.
HOPELESS = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS", "PERMISSION_DENIED", "INVALID_STATE"}
SERVED = Path(__file__).with_name("mlflow_served.py")


class MlflowRun(Tracker):
    """A run of MLflow, below that of its study.

    Args:
        subject: The run or study.
    """

    name = "mlflow"

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._last: dict[str, int] = {}  # last step of each curve
        self._params: dict[str, str] = {}

    def start(self) -> None:
        """See `Tracker`, here and below."""
        for variable, value in LIMITS.items():
            os.environ.setdefault(variable, value)
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        logging.getLogger("alembic").setLevel(logging.ERROR)
        import mlflow

        self.uri = uri = mlflow.get_tracking_uri()
        self.client = mlflow.MlflowClient(uri)
        known = kept.read(self.subject.folder, self.name)
        if known.get("uri") == uri and self._continued(known["run"]):
            return
        self.run = self._created()
        self._keep()

    def _continued(self, run: str) -> bool:
        """Continues a run, and learns which points it has; returns whether it is still there."""
        from mlflow.exceptions import MlflowException

        try:
            found = self.client.get_run(run)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False
        if found.info.lifecycle_stage != "active":
            return False
        self.run = run
        self._keep()
        self.client.update_run(run, status="RUNNING")
        for key in found.data.metrics:
            self._last[key] = max(point.step for point in self.client.get_metric_history(run, key))
        self._params = dict(found.data.params)
        return True

    def _keep(self, **facts: str) -> None:
        kept.write(self.subject.folder, self.name, {"run": self.run, "uri": self.uri, **facts})

    def _created(self) -> str:
        experiment = self._experiment()
        tags = {KIND: self.subject.kind, "kerascnn.folder": self.subject.folder.name}
        if self.subject.group is not None:
            tags[GROUP] = self.subject.group
            if self.subject.kind != STUDY and (parent := self._study(experiment)):
                tags[PARENT] = parent
        return self.client.create_run(experiment, run_name=self.subject.name, tags=tags).info.run_id

    def _experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return found.experiment_id
        try:
            return self.client.create_experiment(name)
        except MlflowException:  # another process was faster
            found = self.client.get_experiment_by_name(name)
            if found is None:
                raise
            return found.experiment_id

    def _study(self, experiment: str) -> str | None:
        """Returns the run of the study that this one belongs to."""
        where = f"tags.`{GROUP}` = '{self.subject.group}' and tags.`{KIND}` = '{STUDY}'"
        found = self.client.search_runs([experiment], filter_string=where, max_results=1)
        return found[0].info.run_id if found else None

    def points(self, points: Sequence[Point]) -> None:
        named = [(f"{point.split}/{point.tag}", point.value, point.step) for point in points]
        self._log(named)

    def _log(self, named: Sequence[tuple[str, float, int]]) -> None:
        """Writes points that are later than the last one of their curve."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        new = [Metric(key, value, now, step) for key, value, step in named if step > self._last.get(key, -1)]
        for i in range(0, len(new), MOST_POINTS):
            some = new[i : i + MOST_POINTS]
            self.client.log_batch(self.run, metrics=some, synchronous=True)
            self._last |= {metric.key: max(metric.step, self._last.get(metric.key, -1)) for metric in some}

    def config(self, text: str) -> None:
        self.client.log_text(self.run, text, "config.toml")

    def images(self, split: str, pngs: Mapping[str, bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name, png in pngs.items():
                path = Path(folder, f"{name}.png")
                path.write_bytes(png)
                self.client.log_artifact(self.run, str(path), f"pictures/{split}")

    def values(self, values: Mapping[str, Any], scores: Mapping[str, float] | None = None) -> None:
        from mlflow.entities import Param

        texts = {key: _text(value)[:LONGEST_PARAM] for key, value in values.items() if value is not None}
        new = [Param(key, text) for key, text in texts.items() if key not in self._params]
        for i in range(0, len(new), MOST_PARAMS):
            self.client.log_batch(self.run, params=new[i : i + MOST_PARAMS], synchronous=True)
        self._params |= texts
        self._log([(key, value, 0) for key, value in (scores or {}).items()])

    def files(self, paths: Sequence[Path]) -> None:
        for path in paths:
            self.client.log_artifact(self.run, str(path))

    def model(self, version: Path) -> None:
        """Logs the SavedModel with its signature: pixels in, probabilities out; it is loaded without kerascnn.

        Not again, if an earlier start did so and was killed afterwards.
        """
        if self._has_model():
            return
        import mlflow
        import numpy as np
        from mlflow.models import ModelSignature
        from mlflow.types import Schema, TensorSpec

        facts = read_json(version / "assets" / "metadata.json")
        size, classes, kind = facts["image_size"], len(facts["class_names"]), np.dtype("float32")
        signature = ModelSignature(
            Schema([TensorSpec(kind, (-1, size, size, 3), "images")]),
            Schema([TensorSpec(kind, (-1, classes), "probabilities")]),
        )
        with mlflow.start_run(run_id=self.run):
            mlflow.pyfunc.log_model(
                name="model",
                python_model=str(SERVED),
                artifacts={"savedmodel": str(version)},
                signature=signature,
                pip_requirements=[f"{name}=={facts['versions'][name]}" for name in ("tensorflow",)],
            )

    def _has_model(self) -> bool:
        from mlflow.entities import LoggedModelStatus

        outputs = self.client.get_run(self.run).outputs
        found = [self.client.get_logged_model(each.model_id) for each in outputs.model_outputs] if outputs else []
        return any(model.status == LoggedModelStatus.READY for model in found)

    def end(self, status: str) -> None:
        self.client.set_terminated(self.run, STATUS[status])
        self._keep(status=status)

    def hopeless(self, error: Exception) -> bool:
        return getattr(error, "error_code", None) in HOPELESS or isinstance(error, FileNotFoundError)


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
