"""The gain from oneDNN if it is off: the same benchmark in a process with oneDNN."""

import os
from collections.abc import Sequence
from typing import Any

from kerascnn.architectures import own
from kerascnn.cli.screen import quiet
from kerascnn.config import Config
from kerascnn.devices import hardware
from kerascnn.errors import TrainingFailed, UserError
from kerascnn.speed.benchmark_config import Benchmark, BenchmarkConfig, PartName
from kerascnn.speed.figures import FAST, SHOWN, Figures
from kerascnn.studies.executor import Executor
from kerascnn.studies.executors.local import LocalExecutor

MEASURED = ("train", "throughput")  # figures in images/s
PARTS: tuple[PartName, ...] = ("train", "inference")  # parts with these figures


def off_needlessly() -> bool:
    """Returns whether TensorFlow runs without oneDNN on a CPU that would gain from it."""
    from kerascnn.devices.kernels import onednn

    others = {name: value for name, value in os.environ.items() if name != hardware.ONEDNN}
    return not onednn() and hardware.onednn_pays_here(others)


def worth(figures: Sequence[Figures], configs: Sequence[Config], asked: Benchmark, executor: Executor) -> list[str]:
    """Returns a line for each arch about the same parts measured with oneDNN, one process after the other.

    Args:
        figures: The figures of this process, without oneDNN.
        configs: The config of each arch, in that order.
        asked: The benchmark's section.
        executor: Runs that process.
    """
    parts = [part for part in PARTS if part in asked.parts]
    if not parts:
        return ["oneDNN is off: --parts train or inference also measures what it would be worth"]
    here = {one.arch: one.row() for one in figures if one.form == FAST}
    shown = ["", f"oneDNN is off; measured after the rounds above, in a process with {hardware.ONEDNN}=1:"]
    for config in configs:
        found = _measured(config, parts, asked, executor)
        if isinstance(found, str):
            shown.append(f"  {own.shown(config.model.arch)}: {found}")
            continue
        shown += [
            f"  {own.shown(config.model.arch)} {SHOWN[name][0]}: {found[name]:.1f} images/s, {found[name] / mine:.2f} x"
            for name, mine in here[own.shown(config.model.arch)].items()
            if name in MEASURED and name in found
        ]
    return shown


def _measured(config: Config, parts: Sequence[PartName], asked: Benchmark, executor: Executor) -> dict[str, Any] | str:
    """Returns the row of the other process, or why there is none."""
    asked = Benchmark(archs=(config.model.arch,), parts=tuple(parts), rounds=asked.rounds, seconds=asked.seconds)
    try:
        return executor.call(with_onednn, config, asked, slot=executor.slots[0])
    except (UserError, TrainingFailed, RuntimeError) as error:
        return (str(error).strip().splitlines() or ["no message"])[-1]


def with_onednn(config: Config, asked: Benchmark) -> dict[str, Any]:
    """Returns a benchmark's row with oneDNN; called in a process that has not loaded TensorFlow."""
    os.environ[hardware.ONEDNN] = "1"
    with quiet(config.logging.verbose):
        from kerascnn.speed import rounds
    request = BenchmarkConfig(**dict(config), benchmark=asked)
    found, _ = rounds.run(request, LocalExecutor(), say=lambda line: None)
    return found[0].row()
