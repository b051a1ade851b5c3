"""Whether two runs were trained under what decides the last bits of a network."""

from __future__ import annotations

from kerascnn.runs import Run
from kerascnn.training.environment import changed

SHOWN = ("python", "tensorflow", "keras", "cpu", "isa", "onednn", "threads", "kind", "policy", "replicas", "git_commit")


def why_not(run: Run, twin: Run) -> str:
    """Returns why the weights of a run cannot be those of its twin here; empty if they must be.

    Every start of the run counts: each had its own environment.
    """
    if not run.finished:
        return f"run {run.name} is not finished"
    if run.data()["fingerprint"] != twin.data()["fingerprint"]:
        return "its images have changed"
    starts, now = run.environment(), twin.environment()[-1]
    if not starts:
        return "its environment.json is missing or damaged"
    lines = dict.fromkeys(line for start in starts for line in changed(start, now))
    return "; ".join(line.removeprefix("note: ").partition(": not the same")[0] for line in lines)
