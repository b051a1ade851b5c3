"""The images that a run was trained on, found again and in the run's own splits."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

from kerascnn import data
from kerascnn.cli.escaping import expanded
from kerascnn.config import Data
from kerascnn.data import Missing, Room, Splits
from kerascnn.errors import UserError
from kerascnn.runs import Run
from kerascnn.runs.earlier import alike


def section_of(run: Run, dataset: str | None = None, data_dir: str | None = None) -> Data:
    """The run's data section; a relative path that is not here is looked for where the run was started.

    Args:
        run: Its directory.
        dataset: Where the images are now.
        data_dir: Where TensorFlow Datasets keeps its data now.
    """
    section = run.config().data
    fields = {key: value for key, value in (("dataset", dataset), ("data_dir", data_dir)) if value is not None}
    for key in ("dataset", "data_dir", "split_file"):
        known = getattr(section, key)
        if key not in fields and known and (found := _elsewhere(known, run)):
            fields[key] = found
    return section.model_copy(update=fields)


def _elsewhere(known: str, run: Run) -> str | None:
    path = expanded(known.removeprefix("folder:"))
    if path.exists() or path.is_absolute():
        return None
    for start in reversed(run.environment()):
        place = Path(start.get("directory", "."), path)
        if place.exists():
            return f"folder:{place}" if known.startswith("folder:") else str(place)
    return None


def load(
    run: Run, dataset: str | None = None, data_dir: str | None = None, say: Callable[[str], None] = lambda line: None
) -> Splits:
    """The run's images, as its split.csv says.

    Args:
        run: Its directory.
        dataset: Where the images are now.
        data_dir: Where TensorFlow Datasets keeps its data now.
        say: Told where all that an earlier version's run kept of its images are names and sizes.

    Raises:
        UserError: They are not there, or have changed.
    """
    section = section_of(run, dataset, data_dir)
    with asking_where(run):
        splits = data.load(section, Room(run.path.parent))
    if not alike(run, splits.fingerprint, splits.former):
        raise UserError(
            f"the images of run {run.name} have changed since it was trained: bring those back"
            " (--dataset says where they are now)"
        )
    if note := by_names_only(run, splits):
        say(note)
    return splits.arranged(run.split_rows())


def by_names_only(run: Run, splits: Splits) -> str:
    """What is said where an earlier version's run is matched by its images' names and sizes alone; else nothing."""
    if run.data()["fingerprint"] == splits.fingerprint:
        return ""
    return f"note: run {run.name} of an earlier version kept names and sizes of its images alone: these match"


@contextlib.contextmanager
def asking_where(run: Run) -> Iterator[None]:
    """Let a message that images are missing name the place where the run found them, and the flag for where they are now."""
    try:
        yield
    except Missing as error:
        raise UserError(f"{error}\n{where(run)}") from None


def where(run: Run) -> str:
    """Where a run found its images, and how to say where they are now."""
    starts = [start["directory"] for start in run.environment() if "directory" in start]
    place = f" in {starts[-1]}" if starts else ""
    return (
        f"run {run.name} was trained with --dataset {shlex.quote(run.config().data.dataset)}{place}:"
        " give --dataset PLACE where its images are now"
    )
