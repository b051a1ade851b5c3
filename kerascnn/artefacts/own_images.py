"""The images that a run was trained on, found again in the run's own splits."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

from kerascnn import data
from kerascnn.cli.escaping import expanded
from kerascnn.config import Data
from kerascnn.config.addresses import is_remote
from kerascnn.data import Missing, Room, Splits, shard_names
from kerascnn.errors import UserError
from kerascnn.runs import Run
from kerascnn.runs.earlier import alike


def section_of(run: Run, dataset: str | None = None, data_dir: str | None = None) -> Data:
    """Returns the run's data section; a relative path that does not exist here is looked up in the folder of the run's start.

    Args:
        run: The run.
        dataset: The present place of the images.
        data_dir: The present folder of the prepared data of TensorFlow Datasets.
    """
    section = run.config().data
    fields = {key: value for key, value in (("dataset", dataset), ("data_dir", data_dir)) if value is not None}
    for key in ("dataset", "data_dir", "split_file", "exclude", "relabel"):
        known = getattr(section, key)
        if key not in fields and known and (found := _elsewhere(known, run)):
            fields[key] = found
    fields["dedupe"] = "none"  # split.csv has the result
    # The lists as they were when the run was trained.
    for key, kept in (("exclude", run.exclude_file), ("relabel", run.relabel_file)):
        if getattr(section, key) is not None and kept.exists():
            fields[key] = str(kept)
    return section.model_copy(update=fields)


def _elsewhere(known: str, run: Run) -> str | None:
    prefix = next((f"{form}:" for form in data.PATHS if known.startswith(f"{form}:")), "")
    if is_remote(known.removeprefix(prefix)):
        return None
    path = expanded(known.removeprefix(prefix))
    if path.is_absolute() or _exists(prefix, path):
        return None
    for start in reversed(run.environment()):
        place = Path(start.get("directory", "."), path)
        if _exists(prefix, place):
            return f"{prefix}{place}"
    return None


def _exists(prefix: str, path: Path) -> bool:
    return shard_names.exist(str(path)) if prefix.rstrip(":") in data.PATTERNS else path.exists()


def load(
    run: Run, dataset: str | None = None, data_dir: str | None = None, say: Callable[[str], None] = lambda line: None
) -> Splits:
    """Returns the run's images in the splits of its split.csv.

    Args:
        run: The run.
        dataset: The present place of the images.
        data_dir: The present folder of the prepared data of TensorFlow Datasets.
        say: Called with a note if a run of an earlier version kept only names and sizes of its images.

    Raises:
        UserError: They are missing, or have changed.
    """
    section = section_of(run, dataset, data_dir)
    with asking_where(run):
        splits = data.load(section, Room(run.path.parent))
    if not alike(run, splits.fingerprint, splits.former):
        raise UserError(
            f"the images of run {run.name} have changed since it was trained: restore them"
            " (or give their present place by --dataset)"
        )
    if note := by_names_only(run, splits):
        say(note)
    return splits.arranged(run.split_rows())


def by_names_only(run: Run, splits: Splits) -> str:
    """Returns a note if a run of an earlier version is matched only by names and sizes of its images, else nothing."""
    if run.data()["fingerprint"] == splits.fingerprint:
        return ""
    return f"note: run {run.name} of an earlier version kept only names and sizes of its images: these match"


@contextlib.contextmanager
def asking_where(run: Run) -> Iterator[None]:
    """Adds the former place of the run's images, and the flag for their present place, to an error about missing images."""
    try:
        yield
    except Missing as error:
        raise UserError(f"{error}\n{where(run)}") from None


def where(run: Run) -> str:
    """Returns the former place of the run's images, and how to give their present place."""
    starts = [start["directory"] for start in run.environment() if "directory" in start]
    place = f" in {starts[-1]}" if starts else ""
    return (
        f"run {run.name} was trained with --dataset {shlex.quote(run.config().data.dataset)}{place}:"
        " give the present place of its images by --dataset"
    )
