"""W&B as a tracker: files in the run's directory, which `wandb sync` sends; WANDB_MODE=online sends them at once."""

import io
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kerascnn.runs.files import read_json
from kerascnn.tracking import kept, wandb_log
from kerascnn.tracking.tracker import FAILED, Point, Subject, Tracker

PROJECT = "kerascnn"  # unless WANDB_PROJECT names another one
SETTLING = 5.0  # seconds until the log of an earlier start is complete, or what a kill left of it
SECONDS = 20.0  # longest wait for the service of W&B at the start, and for uploads at the end


class WandbRun(Tracker):
    """A run of W&B, in the group of its study.

    Args:
        subject: The run or study.
    """

    name = "wandb"

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._last: dict[str, int] = {}  # last step of each curve
        self._following = 0  # W&B's own step, which counts rows; a file of a later start would begin at 0

    def start(self) -> None:
        """See `Tracker`, here and below."""
        import wandb

        wandb.setup(wandb.Settings(silent=True))  # those of a run do not silence what artifacts print
        folder = self.subject.folder
        identifier = kept.read(folder, self.name).get("run") or secrets.token_hex(4)
        logs = sorted((folder / "wandb").glob(f"*run-*/run-{identifier}.wandb"), key=lambda log: log.stat().st_mtime)
        for log in logs[-1:]:
            wandb_log.wait_for_end(log, SETTLING)
        self._last, self._following = wandb_log.last_steps(logs)
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=identifier,
            name=self.subject.name,
            dir=str(folder),
            group=self.subject.group,
            job_type=self.subject.kind,
            resume="allow",
            mode=os.environ.get("WANDB_MODE", "offline"),  # type: ignore[arg-type]
            settings=wandb.Settings(
                silent=True,
                console="off",
                x_disable_stats=True,
                login_timeout=SECONDS,
                init_timeout=SECONDS,
                finish_timeout=SECONDS,
            ),
        )
        kept.write(folder, self.name, {"run": identifier})
        for split in ("train", "validation"):
            self.run.define_metric(f"{split}/epoch_*", step_metric="epoch")
            self.run.define_metric(f"{split}/step_*", step_metric="step")

    def points(self, points: Sequence[Point]) -> None:
        rows: dict[tuple[str, int], dict[str, float]] = {}
        for point in points:
            key, axis = f"{point.split}/{point.tag}", point.tag.partition("_")[0]
            if point.step > self._last.get(key, -1):
                rows.setdefault((axis, point.step), {})[key] = point.value
                self._last[key] = point.step
        for (axis, step), values in rows.items():
            self._log({axis: step, **values})

    def _log(self, row: Mapping[str, Any]) -> None:
        self.run.log(dict(row), step=self._following, commit=True)
        self._following += 1

    def config(self, text: str) -> None:
        (Path(self.run.dir) / "kerascnn.toml").write_text(text, encoding="utf-8")
        self.run.save(str(Path(self.run.dir) / "kerascnn.toml"), base_path=self.run.dir, policy="now")

    def images(self, split: str, pngs: Mapping[str, bytes]) -> None:
        import wandb
        from PIL import Image

        # The log names the parts of a picture: its path, its size and others.
        new = {name: png for name, png in pngs.items() if f"pictures/{split}/{name}/path" not in self._last}
        if new:
            pictures = {name: wandb.Image(Image.open(io.BytesIO(png))) for name, png in new.items()}
            self._log({f"pictures/{split}/{name}": picture for name, picture in pictures.items()})

    def values(self, values: Mapping[str, Any], scores: Mapping[str, float] | None = None) -> None:
        plain = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
        self.run.config.update(plain, allow_val_change=True)
        self.run.summary.update(dict(scores or {}))

    def files(self, paths: Sequence[Path]) -> None:
        for path in paths:
            copy = Path(self.run.dir) / path.name
            copy.write_bytes(path.read_bytes())
            self.run.save(str(copy), base_path=self.run.dir, policy="now")

    def model(self, version: Path) -> None:
        import wandb

        facts = read_json(version / "assets" / "metadata.json")
        known = {name: facts[name] for name in ("class_names", "image_size", "resize")}
        artifact = wandb.Artifact(f"model-{self.run.id}", "model", metadata=known)
        artifact.add_dir(str(version))
        self.run.log_artifact(artifact)

    def end(self, status: str) -> None:
        self.run.finish(exit_code=int(status == FAILED))
        kept.write(self.subject.folder, self.name, {"run": self.run.id, "status": status})

    def hopeless(self, error: Exception) -> bool:
        return isinstance(error, OSError | ValueError | TypeError)
