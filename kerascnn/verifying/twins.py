"""Two trainings of one config in a scratch folder: one undisturbed, one killed at seeded steps and resumed. No TensorFlow."""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from kerascnn.cli.screen import Screen, duration
from kerascnn.config import Config
from kerascnn.errors import UserError
from kerascnn.runs import Run
from kerascnn.studies.child import Orders
from kerascnn.studies.executor import check_ending, fit_command

KILLED = -9
LOG, TRACE = "child.log", "witness.jsonl"


@dataclass(frozen=True)
class Twins:
    """Both runs of a verification.

    Args:
        calm: The undisturbed run.
        cut: The run that was killed.
        steps: Number of steps of a training.
        kills: Steps at which the second one was killed.
    """

    calm: Run
    cut: Run
    steps: int
    kills: tuple[int, ...]


def train(config: Config, folder: Path, kills: int, seed: int, screen: Screen, network: Path | None = None) -> Twins:
    """Trains both.

    Args:
        config: The config of a run.
        folder: The scratch folder.
        kills: Number of kills.
        seed: Seed of their steps.
        screen: Takes lines.
        network: File of a network of the user's own, as a run keeps it.

    Raises:
        UserError: The training has too few steps for so many kills.
        TrainingFailed: The config cannot be trained.
        ChildLost: A process was killed by something else.
    """
    calm, cut = (_prepared(config, folder / name, network) for name in ("calm", "cut"))
    began = time.monotonic()
    with screen.phase("training undisturbed"):
        _ended(calm, _child(calm, None))
    steps = last_step(calm)
    screen.say(f"calm    undisturbed: {steps:,} steps in {duration(time.monotonic() - began)}")
    places = kill_steps(steps, kills, seed)
    for place in places:
        with screen.phase(f"training until the kill at step {place:,}"):
            code = _child(cut, place)
        if code != KILLED:
            _ended(cut, code)
        screen.say(f"cut     killed after step {last_step(cut):,} of {steps:,}")
    with screen.phase("resuming to the end"):
        _ended(cut, _child(cut, None))
    screen.say(f"cut     resumed to step {last_step(cut):,}, after {kills} kill{'s' if kills > 1 else ''}")
    return Twins(calm, cut, steps, places)


def kill_steps(steps: int, kills: int, seed: int) -> tuple[int, ...]:
    """Returns the steps of the kills, ascending, each once, before the last step.

    Raises:
        UserError: There are too few steps.
    """
    if steps <= kills:
        raise UserError(f"--kills {kills}: the training has {steps} steps; expected fewer kills than steps")
    return tuple(sorted(random.Random(seed).sample(range(1, steps), kills)))


def last_step(run: Run) -> int:
    """Returns the last step that a run has reached; after a kill, before it goes back to its checkpoint."""
    import json

    lines = (run.path / TRACE).read_text(encoding="utf-8").splitlines()
    return int(json.loads(lines[-1])["step"])


def _prepared(config: Config, folder: Path, network: Path | None) -> Run:
    """Returns a run that is not begun."""
    run = Run(folder)
    run.path.mkdir()
    logging = {
        "run": None,
        "runs_dir": folder.parent,
        "overwrite": False,
        "export": False,
        "track": Config().logging.track,
    }
    run.write_config(config.replace(logging=logging, fit={"stop_epoch": None, "max_hours": None}))
    if network is not None:
        shutil.copyfile(network, run.network_file)
    return run


def _child(run: Run, kill_at: int | None) -> int:
    """Trains in a process of its own; returns its exit code, negative for a signal."""
    orders = Orders(witness=str(run.path / TRACE), kill_at=kill_at)
    command = [sys.executable, *fit_command(run, None), orders.flag()]
    with (run.path / LOG).open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
        try:
            return process.wait()
        except BaseException:
            process.kill()
            raise
        finally:
            if process.stdin:
                with contextlib.suppress(OSError):
                    process.stdin.close()
            process.wait()


def _ended(run: Run, code: int) -> None:
    """Checks that a process ended by itself, with the run finished."""
    check_ending(run, code)
    if not run.finished:
        raise UserError(f"the training ended without scores: {run.path / LOG}")
