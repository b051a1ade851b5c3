"""A run's directory: the only module that knows the names in it, and its lock. No TensorFlow.

config.toml environment.json data.json split.csv skipped.csv history.csv metrics.json
checkpoints/ best.keras tensorboard/ predictions/ plots/ report.html log.txt failure.txt
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
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from kerascnn.runs.facts import described, scored
from kerascnn.runs.files import leftovers, names_in, read_json, write_file
from kerascnn.runs.locks import Held, hold, hold_when_free

PATIENCE = 120.0  # seconds that a training whose parent was killed takes to save and end, at most


class Run:
    """One run's directory.

    Args:
        path: The directory; it need not exist yet.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        # "." and ".." stand for a folder that has a name.
        self.name = self.path.name if self.path.name not in ("", "..") else resolved(self.path).name
        self.config_file = self.path / "config.toml"
        self.environment_file = self.path / "environment.json"
        self.data_file = self.path / "data.json"
        self.split_file = self.path / "split.csv"
        self.skipped_file = self.path / "skipped.csv"
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
        self.lock_file = self.path / ".lock"
        self._held: Held | None = None

    @property
    def trained(self) -> bool:
        """Whether anything of its training is kept: scores, weights, an epoch or a checkpoint."""
        kept = self.finished or self.best_model.exists()
        return kept or bool(self.history()) or bool(names_in(self.checkpoints))

    @property
    def finished(self) -> bool:
        """Whether the run has its final scores."""
        return self.metrics_file.exists()

    def config(self) -> Config:
        """The merged config of the run."""
        if not self.config_file.exists():
            raise UserError(f"{self.path} is not a run: it has no {self.config_file.name}")
        return load_recipe(self.config_file)

    def resolved_config(self) -> ResolvedConfig:
        """The config of a run whose data are known; before there were small images, runs did not count their epochs."""
        config = self.config()
        return ResolvedConfig.of(config, fit={"low_res_epochs": config.fit.low_res_epochs or 0})

    def data(self) -> dict[str, Any]:
        """Fingerprint, class names and counts."""
        return described(read_json(self.data_file), self.data_file)

    def split_rows(self) -> dict[str, str]:
        """Path -> train, val or test: who was where when the run was trained.

        Raises:
            UserError: The file is damaged.
        """
        with self.split_file.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            try:
                return {row["path"]: row["split"] for row in csv.DictReader(file)}
            except (KeyError, csv.Error) as error:
                raise UserError(f"{self.split_file} is damaged: expected path,label,split ({error!r})") from None

    def metrics(self) -> dict[str, Any]:
        """Final scores and costs.

        Raises:
            UserError: The run is not finished.
        """
        if not self.finished:
            raise UserError(f"run {self.name} is not finished: the command that started it resumes it")
        return scored(read_json(self.metrics_file), self.metrics_file)

    def history(self) -> list[dict[str, float]]:
        """One row per epoch."""
        if not self.history_file.exists():
            return []
        with self.history_file.open(newline="", encoding="utf-8-sig") as file:
            try:
                return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
            except (ValueError, TypeError, csv.Error) as error:
                raise UserError(f"{self.history_file} is damaged: expected numbers in columns: {error}") from None

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for this process.

        Raises:
            Busy: Another process holds it.
            UserError: Its file system has no locks.
        """
        with self._hold() as held:
            self._held = held
            try:
                yield
            finally:
                self._held = None

    def _hold(self) -> contextlib.AbstractContextManager[Held]:
        return hold(self.path, f"run {self.name}", "--runs-dir")

    @contextlib.contextmanager
    def lock_when_free(
        self,
        stop: threading.Event | None = None,
        patience: float | None = None,
        waiting: Callable[[str], None] = lambda line: None,
    ) -> Iterator[None]:
        """`lock`, after waiting for who holds it, PATIENCE where nothing else is said: see `locks.hold_when_free`."""
        patience = PATIENCE if patience is None else patience
        with hold_when_free(self._hold, patience, stop, waiting) as held:
            self._held = held
            try:
                yield
            finally:
                self._held = None

    def still_there(self) -> None:
        """Raises Stopped where the run is held and its directory has been removed or replaced."""
        if self._held is not None:
            self._held.check()

    def tidy(self) -> None:
        """Remove what killed processes left aside, unless somebody works in the run or it may only be read."""
        if leftovers(self.path):
            with contextlib.suppress(UserError, OSError), self.lock():
                pass

    def _write(self, path: Path, content: bytes) -> None:
        self.still_there()
        write_file(path, content)

    def write_config(self, config: Config) -> None:
        """Keep the merged config, but `overwrite`, which was for one start; written before the first batch.

        A config whose data are known also says what it uses where a field is None.
        """
        size = config.data.image_size
        used = None if size is None else defaults.used(config, size)
        text = dumps(config.replace(logging={"overwrite": False}), used)
        self._write(self.config_file, text.encode("utf-8", "surrogateescape"))

    def write_data(
        self, summary: dict[str, Any], split_rows: Iterable[Sequence[Any]], skipped_rows: Iterable[Sequence[Any]]
    ) -> None:
        """Keep who is where (path, label, split) and what was left out (path, reason)."""
        self._write(self.split_file, _csv_bytes(("path", "label", "split"), split_rows))
        self._write(self.skipped_file, _csv_bytes(("path", "reason"), skipped_rows))
        self._write(self.data_file, _json_bytes(summary))

    def write_history(self, rows: Sequence[dict[str, float]]) -> None:
        """Rewrite history.csv whole: never appended to, so that no epoch stands twice."""
        keys = list(dict.fromkeys(key for row in rows for key in row))
        self._write(self.history_file, _csv_bytes(keys, ([_short(row.get(key, "")) for key in keys] for row in rows)))

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Keep the final scores: the run is finished from here on."""
        self._write(self.metrics_file, _json_bytes(metrics))

    def write_predictions(self, split: str, **arrays: np.ndarray) -> None:
        """Keep one split's per-image predictions."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        self._write(self.predictions / f"{split}.npz", buffer.getvalue())

    def read_predictions(self, split: str) -> dict[str, np.ndarray]:
        """ids, labels and probabilities of one split."""
        path = self.predictions / f"{split}.npz"
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return dict(arrays)
        except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise UserError(f"{path} is damaged: {error}: `kerascnn evaluate` of the run writes it anew") from None

    def has_predictions(self, split: str) -> bool:
        """Whether one split's per-image predictions are kept."""
        return (self.predictions / f"{split}.npz").exists()

    def latency_ms(self) -> float | None:
        """The median latency that a search measured; None where it did not."""
        if not self.latency_file.exists():
            return None
        return read_json(self.latency_file)["p50_ms"]

    def write_latency(self, facts: dict[str, Any]) -> None:
        """Keep what one image takes."""
        self._write(self.latency_file, _json_bytes(facts))

    def drop_checkpoints(self) -> None:
        """Remove what resuming needs, of a run that will not be resumed."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def write_plot(self, name: str, png: bytes) -> None:
        """Keep one picture under plots/."""
        self._write(self.plots / name, png)

    def write_report(self, html: str) -> None:
        """Keep the page."""
        self._write(self.report_file, html.encode())

    def environment(self) -> list[dict[str, Any]]:
        """Versions, devices, command and commit of each start; a damaged file tells of none, and of the next ones again."""
        if not self.environment_file.exists():
            return []
        try:
            found = json.loads(self.environment_file.read_text(encoding="utf-8-sig"))
        except (ValueError, RecursionError):
            return []
        return [start for start in found if isinstance(start, dict)] if isinstance(found, list) else []

    def add_environment(self, facts: dict[str, Any]) -> list[dict[str, Any]]:
        """Append one start's facts; returns those of all starts."""
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
        self._write(self.environment_file, _json_bytes(starts))
        return starts


def _short(value: Any) -> Any:
    """Nine digits hold a float32 exactly; whole numbers stay whole."""
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
