"""Runs of earlier versions, whose data.json says less about their images: whether they match, and the notes about them.

An earlier fingerprint held names and sizes (a folder) or a name and counts (TensorFlow Datasets), but no content. Val and
test were cut by another rule: the split.csv of such a run has its splits, and is kept and used.
"""

import contextlib
import datetime
import json
from collections.abc import Callable

from kerascnn.runs.directory import Run
from kerascnn.runs.files import write_file

# The fingerprint of the same images in earlier versions, and the time of their last change, in seconds since 1970.
Former = tuple[str, float]


def same(run: Run, fingerprint: str, former: Former | None) -> bool:
    """Returns whether a run saw these images: by content or, for an earlier version, by name and size and unchanged since."""
    kept = run.data()["fingerprint"]
    return kept == fingerprint or (former is not None and kept == former[0] and former[1] < _began(run))


def alike(run: Run, fingerprint: str, former: Former | None) -> bool:
    """As `same`, but files may be newer than the run of an earlier version."""
    kept = run.data()["fingerprint"]
    return kept == fingerprint or (former is not None and kept == former[0])


def taken_over(run: Run, fingerprint: str, former: Former | None, say: Callable[[str], None]) -> bool:
    """Updates the fingerprint of an earlier version's run if its images are known to match; returns a note."""
    if not run.config_file.exists() or not run.data_file.exists():
        return False
    kept = run.data()["fingerprint"]
    if kept == fingerprint:
        return True
    if former is None or kept != former[0]:
        return False
    if not same(run, fingerprint, former):
        say(
            f"note: run {run.name} of an earlier version saw images with the same names and sizes, but some have changed since it"
            " began, and it has no fingerprint of their content: it is not reused"
        )
        return False
    with contextlib.suppress(OSError), run.lock():  # a read-only run is matched again at the next start
        content = json.dumps({**run.data(), "fingerprint": fingerprint}, indent=2, ensure_ascii=False)
        write_file(run.data_file, f"{content}\n".encode("utf-8", "surrogateescape"))
    say(
        f"note: run {run.name} of an earlier version is taken over: its images have the same names and sizes and are older"
        " than it; it keeps the val and test of its split.csv"
    )
    return True


def _began(run: Run) -> float:
    """Returns the time of the run's start in seconds since 1970, or 0 if it is unknown."""
    starts = run.environment()
    try:
        return datetime.datetime.fromisoformat(starts[0]["started"]).timestamp()
    except (IndexError, KeyError, ValueError):
        return 0.0
