"""Look at this machine and this installation, and say what to change: versions, devices, oneDNN, memory, disk, clock."""

import dataclasses
import json
import math
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import tyro
from pydantic import Field

from kerascnn.cli.command import command
from kerascnn.cli.parsing import parse
from kerascnn.cli.screen import Screen, quiet, starting
from kerascnn.config import Config
from kerascnn.config.section import Section
from kerascnn.diagnosis import disk
from kerascnn.diagnosis.advice import advise
from kerascnn.diagnosis.facts import MachineFacts, OneDnnWorth, collect
from kerascnn.errors import DONE
from kerascnn.studies.executors.local import LocalExecutor


class Doctor(Section):
    """The flags of `kerascnn doctor`."""

    measure: bool = Field(
        True, description="train a small network with oneDNN and without, each in a process of its own"
    )
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = Field(
        False, description="print one JSON object for a bug report: no names, paths or variables"
    )


@command
def main(argv: list[str]) -> int:
    """`kerascnn doctor`: prints what it found, and a line for everything that should be changed."""
    asked = parse(Doctor, argv, prog="kerascnn doctor", description=__doc__ or "")
    facts = examine(asked.measure, Screen(errors=asked.as_json))
    advice = advise(facts)
    if asked.as_json:
        print(json.dumps({**_plain(facts), "advice": advice}, indent=1, allow_nan=False))
        return DONE
    for line in (*_lines(facts), "", *(f"to change: {line}" for line in advice)):
        print(line)
    if not advice:
        print("nothing to change")
    return DONE


def examine(measure: bool, screen: Screen) -> MachineFacts:
    """Returns the facts of this machine; with `measure` also what oneDNN is worth."""
    settings = Config().logging
    places = {
        "runs": settings.runs_dir,
        "exports": settings.exports_dir,
        "temporary files": Path(tempfile.gettempdir()),
    }
    with screen.phase("writing and reading files"):
        disks = disk.measure(places)
    with starting(screen), quiet(False):
        from kerascnn.diagnosis import tensorflow_facts

        found = tensorflow_facts.ask()
    worth = None
    if measure and not found.error:
        with screen.phase("training a small network with oneDNN and without"):
            worth = tensorflow_facts.worth(LocalExecutor())
    return collect(disks, found, worth)


def _plain(facts: MachineFacts) -> dict[str, Any]:
    """Returns the facts as JSON has them: a missing limit is null."""
    return {**dataclasses.asdict(facts), "quota": facts.quota if math.isfinite(facts.quota) else None}


def _lines(facts: MachineFacts) -> Iterator[str]:
    here = {name: version or "missing" for name, version in facts.versions.items()}
    extras = [f"{name} {version}" for name, version in facts.extras.items() if version]
    yield f"system     {facts.system}"
    yield "versions   " + ", ".join(f"{name} {version}" for name, version in here.items())
    yield "extras     " + (", ".join(extras) or "none")
    units = ", bfloat16 units" if facts.bfloat16 else ", no bfloat16 units"
    granted = f", the container grants {facts.quota:g}" if math.isfinite(facts.quota) else ""
    yield f"CPU        {facts.cpu}: {facts.cpus} CPUs{granted}; {facts.isa or 'unknown instruction sets'}{units}"
    tensorflow = facts.tensorflow
    if tensorflow.error:
        yield f"TensorFlow cannot be imported: {tensorflow.error}"
    else:
        yield f"threads    {tensorflow.threads} within an operation, {tensorflow.inter_op_threads} between operations"
        yield f"oneDNN     {'on' if tensorflow.onednn else 'off'}{_worth(facts.worth)}"
        yield "GPUs       " + (", ".join(tensorflow.gpus) or "none")
    yield f"memory     {facts.free / 2**30:.1f} GiB free of {facts.total / 2**30:.1f}"
    yield f"files      {facts.open_files} may be open"
    for place in facts.disks:
        yield f"disk       {place.what}: " + (place.error or _speed(place))


def _worth(worth: OneDnnWorth | None) -> str:
    if worth is None:
        return ""
    if not worth.ratio:
        return f" (not measured: {worth.error})"
    return f": a small ResNet trains {worth.on:.0f} images/s with it, {worth.off:.0f} without ({worth.ratio:.2f} x)"


def _speed(place: disk.Disk) -> str:
    speed = f", {place.written / 1e6:.0f} MB/s written, {place.read / 1e6:.0f} MB/s read" if place.written else ""
    return f"{place.free / 2**30:.1f} GiB free{speed}, its clock {place.skew:+.1f} s"


if __name__ == "__main__":
    sys.exit(main())
