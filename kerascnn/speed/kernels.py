"""What oneDNN would be worth where it is off: the same benchmark in a process that has it on."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from kerascnn.config import Config
from kerascnn.devices import hardware
from kerascnn.devices.kernels import onednn
from kerascnn.errors import DONE
from kerascnn.speed.figures import FAST, SHOWN, Figures
from kerascnn.speed.measure import written
from kerascnn.speed.options import Benchmark

MEASURED = ("train", "throughput")  # in images/s
PARTS = ("train", "inference")  # that give them


def off_needlessly() -> bool:
    """Whether TensorFlow runs without oneDNN on a CPU that would gain from it."""
    others = {name: value for name, value in os.environ.items() if name != hardware.ONEDNN}
    return not onednn() and hardware.onednn_pays_here(others)


def worth(figures: Sequence[Figures], configs: Sequence[Config], asked: Benchmark) -> list[str]:
    """A line for each arch, of the same parts measured with oneDNN on, one process after the other.

    Args:
        figures: What was found here, without oneDNN.
        configs: The config of each arch, in that order.
        asked: The benchmark's section.
    """
    parts = [part for part in PARTS if part in asked.parts]
    if not parts:
        return ["oneDNN is off: --parts train or inference also measures what it would be worth"]
    here = {one.arch: one.row() for one in figures if one.form == FAST}
    shown = ["", f"oneDNN is off; measured after the rounds above, in a process with {hardware.ONEDNN}=1:"]
    for config in configs:
        found = _measured(config, parts, asked)
        if isinstance(found, str):
            shown.append(f"  {config.model.arch}: {found}")
            continue
        shown += [
            f"  {config.model.arch} {SHOWN[name][0]}: {found[name]:.1f} images/s, {found[name] / mine:.2f} x"
            for name, mine in here[config.model.arch].items()
            if name in MEASURED and name in found
        ]
    return shown


def _measured(config: Config, parts: Sequence[str], asked: Benchmark) -> dict[str, Any] | str:
    """The other process' row, or why there is none."""
    with written(config) as path:
        command = [sys.executable, "-m", "kerascnn.benchmark", "--config", str(path), "--json"]
        command += ["--parts", *parts, "--rounds", str(asked.rounds), "--seconds", str(asked.seconds)]
        variables = {**os.environ, hardware.ONEDNN: "1"}
        done = subprocess.run(command, env=variables, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != DONE:
        return (done.stderr.strip().splitlines() or ["no message"])[-1]
    return json.loads(done.stdout)
