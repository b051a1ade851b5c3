"""The directory of a run: the only module that knows its file names, and its lease. No TensorFlow.

config.toml environment.json data.json split.csv skipped.csv history.csv metrics.json network.py
exclude.csv relabel.csv checkpoints/ best.keras tensorboard/ predictions/ plots/ report.html log.txt failure.txt
"""

import contextlib
import csv
import io
import json
import os
import shutil
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerascnn.cli import ambient
from kerascnn.cli.escaping import one_line, resolved
from kerascnn.cli.recipes import dumps, load_recipe
from kerascnn.config import Config, defaults
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.errors import UserError
from kerascnn.runs import starting
from kerascnn.runs.files import check, leftovers, names_in, read_json, write_file
from kerascnn.runs.lease import Lease, hold, hold_when_free
from kerascnn.runs.validation import described, scored
from kerascnn.scoring import task as tasks
from kerascnn.scoring.label_metrics import Thresholds
from kerascnn.scoring.task import Task

PATIENCE = 120.0  # seconds: the longest time that a training needs to save and end after its parent was killed


class Run:
    """The directory of one run.

    Args:
        path: The directory; it need not exist yet.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        # "." and ".." stand for a folder with a name.
        self.name = self.path.name if self.path.name not in ("", "..") else resolved(self.path).name
        self.config_file = self.path / "config.toml"
        self.environment_file = self.path / "environment.json"
        self.network_file = self.path / "network.py"
        self.data_file = self.path / "data.json"
        self.split_file = self.path / "split.csv"
        self.skipped_file = self.path / "skipped.csv"
        self.exclude_file = self.path / "exclude.csv"
        self.relabel_file = self.path / "relabel.csv"
        self.history_file = self.path / "history.csv"
        self.metrics_file = self.path / "metrics.json"
        self.best_model = self.path / "best.keras"
        self.checkpoints = self.path / "checkpoints"
        self.tensorboard = self.path / "tensorboard"
        self.predictions = self.path / "predictions"
        self.plots = self.path / "plots"
        self.report_file = self.path / "report.html"
        self.log_file = self.path / "log.txt"
        self.latency_file = self.path / "latency.json"
        self.failure_file = self.path / "failure.txt"

    @property
    def trained(self) -> bool:
        """Whether any part of its training is kept: scores, weights, an epoch or a checkpoint."""
        kept = self.finished or self.best_model.exists()
        return kept or bool(self.history()) or bool(names_in(self.checkpoints))

    @property
    def finished(self) -> bool:
        """Whether the run has its final scores."""
        return self.metrics_file.exists()

    def config(self) -> Config:
        """Returns the merged config of the run."""
        if not self.config_file.exists():
            raise UserError(f"{self.path} is not a run: it has no {self.config_file.name}")
        return load_recipe(self.config_file)

    def resolved_config(self) -> ResolvedConfig:
        """The config of a run whose data are known; before there were small images, runs did not count their epochs."""
        config = self.config()
        return ResolvedConfig.of(config, fit={"low_res_epochs": config.fit.low_res_epochs or 0})

    @property
    def task(self) -> Task:
        """What the labels of its images ask of a network."""
        return tasks.of_facts(self.data() if self.data_file.exists() else {})

    @property
    def thresholds(self) -> Thresholds | None:
        """The probabilities from which labels are predicted; None where images have one label each, or before the end."""
        kept = self.metrics().get("thresholds") if self.finished else None
        return None if kept is None else Thresholds.read(kept)

    def data(self) -> dict[str, Any]:
        """Returns fingerprint, class names and counts."""
        return described(read_json(self.data_file), self.data_file)

    def split_rows(self) -> dict[str, str]:
        """Returns path -> train, val or test, as the run was trained.

        Raises:
            UserError: The file is damaged.
        """
        with self.split_file.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            try:
                return {row["path"]: row["split"] for row in csv.DictReader(file)}
            except (KeyError, csv.Error) as error:
                raise UserError(f"{self.split_file} is damaged: expected path,label,split ({error!r})") from None

    def split_groups(self) -> dict[str, str]:
        """Returns path -> group of the images, "" for one that stands alone; empty if the run's source knew no groups."""
        if not self.split_file.exists():
            return {}
        with self.split_file.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            if "group" not in header:
                return {}
            path, group = header.index("path"), header.index("group")
            return {row[path]: row[group] for row in rows if len(row) == len(header)}

    def metrics(self) -> dict[str, Any]:
        """Returns the final scores and costs.

        Raises:
            UserError: The run is not finished.
        """
        if not self.finished:
            raise UserError(f"run {self.name} is not finished: the command that started it resumes it")
        return scored(read_json(self.metrics_file), self.metrics_file)

    def history(self) -> list[dict[str, float]]:
        """Returns one row per epoch."""
        if not self.history_file.exists():
            return []
        with self.history_file.open(newline="", encoding="utf-8-sig") as file:
            try:
                return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
            except (ValueError, TypeError, csv.Error) as error:
                raise UserError(f"{self.history_file} is damaged: expected numbers in columns: {error}") from None

    def lock(self, say: Callable[[str], None] | None = None) -> contextlib.AbstractContextManager[Lease]:
        """Holds the run for this process: see `lease.hold`."""
        return hold(self.path, f"run {self.name}", say=say)

    def lock_when_free(
        self,
        stop: threading.Event | None = None,
        patience: float | None = None,
        waiting: Callable[[str], None] = lambda line: None,
    ) -> contextlib.AbstractContextManager[Lease]:
        """Holds the run, after waiting up to `patience` for the process that holds it: see `lease.hold_when_free`."""
        patience = PATIENCE if patience is None else patience
        return hold_when_free(lambda: self.lock(waiting), patience, stop, waiting)

    def still_there(self) -> None:
        """Raises Stopped if this process held the run and holds it no longer."""
        check(self.path)

    def tidy(self) -> None:
        """Removes what killed processes left aside, unless a process works in the run or it is read-only."""
        if leftovers(self.path):
            with contextlib.suppress(UserError, OSError), self.lock():
                pass

    def write_config(self, config: Config) -> None:
        """Writes the merged config before the first batch, without `overwrite`, which is for one start only.

        A config whose data are known also records the values of fields that are None.
        """
        size = config.data.image_size
        used = None if size is None else defaults.used(config, size)
        text = dumps(config.replace(logging={"overwrite": False}), used)
        write_file(self.config_file, text.encode("utf-8", "surrogateescape"))

    def write_data(
        self, summary: dict[str, Any], split_rows: Iterable[Sequence[Any]], skipped_rows: Iterable[Sequence[Any]]
    ) -> None:
        """Writes the splits (path, label, split, and group where groups are known) and the images left out (path, reason)."""
        rows = list(split_rows)
        columns = ("path", "label", "split", "group")[: len(rows[0]) if rows else 3]
        write_file(self.split_file, _csv_bytes(columns, rows))
        write_file(self.skipped_file, _csv_bytes(("path", "reason"), skipped_rows))
        write_file(self.data_file, _json_bytes(summary))

    def write_corrections(self, exclude: bytes | None, relabel: bytes | None) -> None:
        """Writes copies of the files of --exclude and --relabel: later edits change other runs, not this one."""
        for file, content in ((self.exclude_file, exclude), (self.relabel_file, relabel)):
            if content is not None:
                write_file(file, content)

    def write_history(self, rows: Sequence[dict[str, float]]) -> None:
        """Rewrites history.csv as a whole, never appends, so that no epoch occurs twice."""
        keys = list(dict.fromkeys(key for row in rows for key in row))
        write_file(self.history_file, _csv_bytes(keys, ([_short(row.get(key, "")) for key in keys] for row in rows)))

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Writes the final scores, which makes the run finished."""
        write_file(self.metrics_file, _json_bytes(metrics))

    def write_predictions(self, split: str, **arrays: np.ndarray) -> None:
        """Writes the predictions for each image of a split."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        write_file(self.predictions / f"{split}.npz", buffer.getvalue())

    def read_predictions(self, split: str) -> dict[str, np.ndarray]:
        """Returns ids, labels and probabilities of a split."""
        path = self.predictions / f"{split}.npz"
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return dict(arrays)
        except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise UserError(f"{path} is damaged: {error}: `kerascnn evaluate` of the run writes it anew") from None

    def has_predictions(self, split: str) -> bool:
        """Returns whether the predictions of a split are kept."""
        return (self.predictions / f"{split}.npz").exists()

    def latency_ms(self) -> float | None:
        """Returns the median latency that a search measured, or None."""
        if not self.latency_file.exists():
            return None
        return read_json(self.latency_file)["p50_ms"]

    def write_network(self, source: bytes) -> None:
        """Writes the file that defines the network, where it is not one of this package."""
        write_file(self.network_file, source)

    def write_latency(self, facts: dict[str, Any]) -> None:
        """Writes the latency of one image."""
        write_file(self.latency_file, _json_bytes(facts))

    def drop_checkpoints(self) -> None:
        """Removes the checkpoints of a run that will not be resumed."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def write_plot(self, name: str, png: bytes) -> None:
        """Writes one picture to plots/."""
        write_file(self.plots / name, png)

    def write_report(self, html: str) -> None:
        """Writes the report page."""
        write_file(self.report_file, html.encode())

    def environment(self) -> list[dict[str, Any]]:
        """Returns versions, devices, command and commit of each start; a damaged file counts as empty."""
        if not self.environment_file.exists():
            return []
        try:
            found = json.loads(self.environment_file.read_text(encoding="utf-8-sig"))
        except (ValueError, RecursionError):
            return []
        return [start for start in found if isinstance(start, dict)] if isinstance(found, list) else []

    def add_environment(self, facts: dict[str, Any]) -> list[dict[str, Any]]:
        """Appends the facts of one start; returns those of all starts."""
        starts = self.environment()
        variables = ambient.respected()
        starts.append(
            {
                "started": starting.now(),
                **starting.directory(),
                **facts,
                "variables": variables,
                "overridden": ambient.overridden(),
                "command": one_line(starting.shown_command()),
                "git_commit": starting.git_commit(),
            }
        )
        write_file(self.environment_file, _json_bytes(starts))
        return starts


def _short(value: Any) -> Any:
    """Rounds to nine digits, which hold a float32 exactly; whole numbers stay whole."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.9g}"
    return value


def _csv_bytes(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "surrogateescape")


def _json_bytes(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8", "surrogateescape")
