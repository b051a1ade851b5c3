"""Finds the run of a word on a command line: a path, a run's name, or `latest`. No TensorFlow."""

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
DEMO = "demo"  # the network in the package; a path or a run of that name comes first
DEMO_FILE = Path(__file__).parents[1] / DEMO / "model.keras"


def find(word: str, runs_dir: Path | None = None, *, finished: bool = True) -> Path:
    """Returns the path of RUN on a command line; the choice of `latest` is printed on standard error.

    Args:
        word: A path that exists; a run's name below `runs_dir`; `latest`, the newest run of `runs_dir`, or `FOLDER/latest`;
            `demo`, the network in the package.
        runs_dir: Folder of the runs; default: that of `fit`.
        finished: Whether `latest` skips runs without final scores.

    Raises:
        UserError: There is no such path or run; names the most similar.
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
    if word == DEMO:
        return DEMO_FILE
    near = nearest_path(path) or (nearest_path(home / path) if len(path.parts) == 1 else "")
    raise UserError(f"there is no {one_line(word)}{near} (`kerascnn list` shows the runs)")


def newest(folder: Path, *, finished: bool = True) -> Path:
    """Returns the run below `folder` that ended last, or without `finished` the one that was written last.

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
    """Returns the runs one level below a folder, by name, or the folder itself if it is a run."""
    if (folder / "config.toml").is_file():
        yield Run(folder)
        return
    for file in sorted(folder.glob("*/config.toml")):
        if not file.parent.name.startswith("."):  # those are being removed
            yield Run(file.parent)


def when(run: Run) -> float:
    """Returns when the training ended or was last written, in seconds since 1970. A later evaluation does not count."""
    times = [0.0]
    for file in (run.history_file, run.best_model, run.config_file):
        with contextlib.suppress(OSError):
            times.append(file.stat().st_mtime)
    return max(times)
