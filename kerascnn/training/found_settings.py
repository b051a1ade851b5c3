"""Settings that are found before a run is named, and kept, so that the same command finds the same run on any machine."""

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from kerascnn.cli.automatic import Automatic
from kerascnn.cli.screen import Screen, duration
from kerascnn.config import Config
from kerascnn.data import Splits
from kerascnn.devices.plan import Plan, setup
from kerascnn.errors import UserError
from kerascnn.runs import identity
from kerascnn.runs.files import read_json, write_file
from kerascnn.training import assembly, measuring, range_test

FOLDER = ".found"  # below the folder of the runs
SMALLEST, LARGEST = 16, 4096  # images per batch
DIVISIBLE = 720_720  # images that any number of replicas up to 16 can share, where only the devices are asked for
GAIN = 1.05  # a larger batch must be this much faster on a CPU
FORWARD = 1 / 3  # time of a forward pass as a share of a step


def find(asked: Automatic, config: Config, splits: Splits, screen: Screen) -> Config:
    """Returns `config` with numbers in place of what `asked` names.

    Batch size, rate and epochs are found in this order, each with the ones before.

    Args:
        asked: The settings to find.
        config: The config of the flags.
        splits: Its data.
        screen: Shows what was measured.

    Raises:
        UserError: Not even one epoch fits into the budget, or no batch into the memory.
    """
    if not asked:
        return config
    file = _file(asked, config, splits)
    known: dict[str, Any] = {}
    if file.exists() and not config.logging.overwrite:
        known = read_json(file)
        screen.say(f"found   earlier: {', '.join(f'{key} {value:g}' for key, value in known.items())} ({file})")
    if asked.batch_size:
        size = known.get("batch_size") or find_batch_size(config, splits, screen)
        config, known["batch_size"] = config.replace(fit={"batch_size": size}), size
    plan = setup(config.devices, config.fit.batch_size)
    if asked.lr:
        if "lr" not in known:
            curve = range_test.find(assembly.resolve(config, splits), splits, plan, screen)
            write_file(file.with_suffix(".png"), range_test.picture(curve))
            screen.say(
                f"lr      {curve.suggested:g}: a tenth of where the loss is smallest ({file.with_suffix('.png')})"
            )
            known["lr"] = curve.suggested
        config = config.replace(optim={"lr": known["lr"], "lr_base_batch": None})
    if asked.epochs:
        assert asked.budget is not None
        epochs = known.get("epochs") or find_epochs(config, splits, plan, asked.budget, screen)
        config, known["epochs"] = config.replace(fit={"epochs": epochs}), epochs
    write_file(file, f"{json.dumps(known)}\n".encode())
    return config


def _file(asked: Automatic, config: Config, splits: Splits) -> Path:
    """Returns the file that keeps what was found for a config; machines and devices are not part of it."""
    content = [identity(assembly.resolve(config, splits), splits.fingerprint), str(asked)]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
    return config.logging.runs_dir / FOLDER / f"{digest}.json"


def _seconds(config: Config, splits: Splits, plan: Plan, screen: Screen) -> tuple[float, float]:
    """Returns the seconds of a warm step, and of everything before the first one has ended."""
    resolved = assembly.resolve(config, splits)
    with screen.phase("building a network to measure") as phase:
        model = assembly.build_and_compile(resolved, splits, plan)
    step, _ = measuring.seconds_per_step(model, resolved, splits, screen)
    return step, phase.seconds


def find_batch_size(config: Config, splits: Splits, screen: Screen) -> int:
    """Returns the batch size of `--batch-size auto`: on a GPU the largest that fits, on a CPU the smallest of the fastest.

    Raises:
        UserError: Not even the smallest fits.
    """
    plan = setup(config.devices, DIVISIBLE)

    def speed(size: int) -> float | None:
        sized = config.replace(fit={"batch_size": size})
        try:
            step, _ = _seconds(sized, splits, setup(sized.devices, size), screen)
        except tf.errors.ResourceExhaustedError:
            screen.say(f"batch   {size}: does not fit into the memory")
            return None
        screen.say(f"batch   {size}: {size / step:,.0f} images/s")
        return size / step

    most = min(LARGEST, max(len(splits.train), SMALLEST))
    chosen = choose_batch_size(plan.kind, sizes(plan.replicas, most), speed)
    if chosen is None:
        raise UserError(f"--batch-size auto: not even {SMALLEST} images fit into the memory: a smaller --image-size?")
    screen.say(f"batch   {chosen}: {'the largest that fits' if plan.kind == 'gpu' else 'larger ones are not faster'}")
    return chosen


def sizes(replicas: int, most: int) -> Iterator[int]:
    """Yields powers of two that divide over the replicas, or multiples of their number, up to `most`."""
    size = SMALLEST if SMALLEST % replicas == 0 else SMALLEST * replicas
    while size <= most:
        yield size
        size *= 2


def choose_batch_size(kind: str, ladder: Iterator[int], speed: Callable[[int], float | None]) -> int | None:
    """Returns the batch size by the measured speeds, or None if none fits.

    Args:
        kind: "cpu" or "gpu".
        ladder: Batch sizes, ascending.
        speed: Function from a batch size to images per second, or None where it does not fit.
    """
    chosen, best = None, 0.0
    for size in ladder:
        found = speed(size)
        if found is None or (kind == "cpu" and found < GAIN * best):
            break
        chosen, best = size, found
    return chosen


def find_epochs(config: Config, splits: Splits, plan: Plan, budget: float, screen: Screen) -> int:
    """Returns the number of whole epochs, val included, that fit into `budget` seconds beside the start and the end.

    Raises:
        UserError: Not even one does.
    """
    step, building = _seconds(config, splits, plan, screen)
    size = config.fit.batch_size
    steps, val, test = (math.ceil(len(part) / size) for part in (splits.train, splits.val, splits.test))
    epoch = step * (steps + FORWARD * val)
    around = 3 * building + step * FORWARD * (val + test)  # built, traced and loaded once more; scored at the end
    epochs = fitting(budget, epoch, around)
    if epochs < 1:
        raise UserError(
            f"--budget: one epoch takes about {duration(epoch)} here, and start and end {duration(around)}: give more than"
            f" {duration(epoch + around)}"
        )
    screen.say(f"epochs  {epochs}: of {duration(epoch)} each, in {duration(budget)}")
    return epochs


def fitting(budget: float, epoch: float, around: float) -> int:
    """Returns how many epochs of `epoch` seconds fit into `budget` seconds, of which `around` are for the rest."""
    return max(0, math.floor((budget - around) / epoch))
