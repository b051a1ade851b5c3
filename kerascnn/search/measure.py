"""Short measurements of one network, in a child that sees the same cores and GPU as the one that would train it.

    python -m kerascnn.search.measure latency|speed CONFIG CLASSES

prints the milliseconds of one image, or the seconds of one training epoch and those that were spent on warm steps.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from kerascnn import runs
from kerascnn.cli.recipes import load_recipe
from kerascnn.cli.screen import quiet
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.errors import UserError
from kerascnn.runs import Run

CALLS = 50


def in_child(what: str, run: Run, classes: int, cpus: Sequence[int], gpu: str) -> list[float]:
    """What `python -m kerascnn.search.measure` says of a run's config.

    Raises:
        UserError: The child failed; names its last line.
    """
    command = [sys.executable, "-m", "kerascnn.search.measure", what, str(run.config_file), str(classes)]
    done = subprocess.run(
        command,
        env=runs.child_environment(cpus, gpu),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        start_new_session=True,
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"code {done.returncode}"])[-1]
        raise UserError(f"the {what} of {run.name} could not be measured: {reason}")
    return [float(number) for number in done.stdout.split()]


def main(argv: Sequence[str]) -> None:
    """The child."""
    what, path, classes = argv
    runs.pin()
    config = ResolvedConfig.of(load_recipe(Path(path)))
    print(*([_latency(config, int(classes))] if what == "latency" else _speed(config)))


def _latency(config: ResolvedConfig, classes: int) -> float:
    with quiet():
        from kerascnn import training
        from kerascnn.devices import timing
    size = config.data.image_size
    call = timing.inference(training.network(config.model, size, classes), 1, size)
    return timing.latency(call, calls=CALLS).p50_ms


def _speed(config: ResolvedConfig) -> tuple[float, float]:
    """Seconds of an epoch, from a few warm steps of `fit`, and of those steps."""
    with quiet():
        from kerascnn import data, training
        from kerascnn.data import pipeline
        from kerascnn.devices.plan import setup

        plan = setup(config.devices, config.fit.batch_size)
        splits = data.load(config.data, data.Room(config.logging.runs_dir))
        config = training.resolve(config, splits)
        model = training.build_and_compile(config, splits, plan)
    steps = pipeline.steps_per_epoch(len(splits.train), config.fit.batch_size)
    step, warm = training.seconds_per_step(model, config, splits)
    return steps * step, warm


if __name__ == "__main__":
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    main(sys.argv[1:])
