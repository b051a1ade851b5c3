"""Which run a word on a command line means: a path, a run's name, or `latest`. No TensorFlow."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from kerascnn.cli.escaping import expanded, one_line
from kerascnn.config import Config
from kerascnn.errors import UserError
from kerascnn.runs.directory import Run
from kerascnn.runs.files import nearest_path

LATEST = "latest"


def find(word: str, runs_dir: Path | None = None, *, finished: bool = True) -> Path:
    """The path that RUN on a command line means; which run is the newest is said on standard error.

    Args:
        word: A path that exists; a run's name below `runs_dir`; `latest`, the newest run of `runs_dir`, or `FOLDER/latest`.
        runs_dir: Where runs are kept; None: where `fit` keeps them by default.
        finished: Whether `latest` leaves out runs without final scores.

    Raises:
        UserError: There is no such path or run; names the nearest.
    """
    home = Config().logging.runs_dir if runs_dir is None else runs_dir
    path = expanded(word)
    if os.path.lexists(path):
        return path
    if path.name == LATEST:
        found = newest(home if word == LATEST else path.parent, finished=finished)
        print(f"kerascnn: {one_line(word)} is {one_line(str(found))}", file=sys.stderr)
        return found
    if len(path.parts) == 1 and (home / path).exists():
        return home / path
    near = nearest_path(path) or (nearest_path(home / path) if len(path.parts) == 1 else "")
    raise UserError(f"there is no {one_line(word)}{near} (`kerascnn list` shows the runs)")


def newest(folder: Path, *, finished: bool = True) -> Path:
    """The run below `folder` that ended last, or with `finished` off the one that was written to last.

    Raises:
        UserError: There is none.
    """
    found = list(below(folder))
    done = [run for run in found if run.finished] if finished else found
    if not done:
        hint = f"; {found[-1].path} is not finished: the command that started it resumes it" if found else ""
        raise UserError(f"{LATEST}: there is no {'finished ' if finished else ''}run in {one_line(str(folder))}{hint}")
    return max(done, key=when).path


def below(folder: Path) -> Iterator[Run]:
    """The runs one level below a folder, by name; the folder itself where it is one."""
    if (folder / "config.toml").is_file():
        yield Run(folder)
        return
    for file in sorted(folder.glob("*/config.toml")):
        if not file.parent.name.startswith("."):  # those are on their way out
            yield Run(file.parent)


def when(run: Run) -> float:
    """When its training ended, or was last written to: seconds since 1970. A later evaluation does not count."""
    times = [0.0]
    for file in (run.history_file, run.best_model, run.config_file):
        with contextlib.suppress(OSError):
            times.append(file.stat().st_mtime)
    return max(times)
