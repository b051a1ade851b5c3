"""Runs of earlier versions, whose data.json says less about their images: when they are this run, and what is said of them.

An earlier fingerprint held names and sizes (a folder) or a name and counts (TensorFlow Datasets), and no content. Val and test
were cut by another rule: what such a run learned from stands in its split.csv, which is kept and heeded.
"""

import contextlib
import datetime
import json
from collections.abc import Callable

from kerascnn.runs.directory import Run
from kerascnn.runs.files import write_file

# What earlier versions called the same images, and when these changed last, in seconds since 1970.
Former = tuple[str, float]


def same(run: Run, fingerprint: str, former: Former | None) -> bool:
    """Whether a run saw these images: by content, or, for an earlier version's, by name and size and unchanged since."""
    kept = run.data()["fingerprint"]
    return kept == fingerprint or (former is not None and kept == former[0] and former[1] < _began(run))


def alike(run: Run, fingerprint: str, former: Former | None) -> bool:
    """Whether a run may have seen these images: as `same`, but files that are newer than an earlier version's run will do."""
    kept = run.data()["fingerprint"]
    return kept == fingerprint or (former is not None and kept == former[0])


def taken_over(run: Run, fingerprint: str, former: Former | None, say: Callable[[str], None]) -> bool:
    """Give the run of an earlier version the fingerprint of what it saw, where that can be told; says what was done."""
    if not run.config_file.exists() or not run.data_file.exists():
        return False
    kept = run.data()["fingerprint"]
    if kept == fingerprint:
        return True
    if former is None or kept != former[0]:
        return False
    if not same(run, fingerprint, former):
        say(
            f"note: run {run.name} of an earlier version saw images of the same names and sizes, but some have changed since it"
            " began, and it kept no more of them: it is not reused"
        )
        return False
    with contextlib.suppress(OSError), run.lock():  # one that can only be read is matched anew at the next start
        content = json.dumps({**run.data(), "fingerprint": fingerprint}, indent=2, ensure_ascii=False)
        write_file(run.data_file, f"{content}\n".encode("utf-8", "surrogateescape"))
    say(
        f"note: run {run.name} of an earlier version is taken over: its images have the same names and sizes and are older"
        " than it; it keeps the val and test of its split.csv"
    )
    return True


def _began(run: Run) -> float:
    """Seconds since 1970; 0 where the run does not say."""
    starts = run.environment()
    try:
        return datetime.datetime.fromisoformat(starts[0]["started"]).timestamp()
    except (IndexError, KeyError, ValueError):
        return 0.0
