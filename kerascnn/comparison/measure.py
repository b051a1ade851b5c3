"""What the plan needs of TensorFlow: who trains on what, what it costs. Functions are called in processes of their own."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from kerascnn.architectures import filters
from kerascnn.architectures.shape import Shape
from kerascnn.cli.progress import SILENT, Phases
from kerascnn.cli.screen import quiet, starting
from kerascnn.config import Config
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.errors import UserError
from kerascnn.runs.scratch import scratch
from kerascnn.studies.budget import Match, solve_width
from kerascnn.studies.cost import Cost
from kerascnn.studies.executor import Executor

ROUNDS, CALLS = 3, 20  # of inference: every network has its turn in each round
_UNMATCHED = "choose another first arch, or --match none"
PROCESSES = 5  # in each of which latencies are measured: what one process says holds for that process alone


@dataclass(frozen=True)
class Subject:
    """A config with all that its data decides.

    Args:
        config: Of its runs, but for the seed.
        dataset: Short name of the data.
        fingerprint: Of the data.
        class_names: In the labels' order.
        images: Number of images in train, val and test.
        former: The fingerprint of the same images in earlier versions.
    """

    config: ResolvedConfig
    dataset: str
    fingerprint: str
    class_names: tuple[str, ...]
    images: dict[str, int]
    former: str = ""


def subjects(configs: list[Config], phases: Phases = SILENT) -> list[Subject]:
    """Each config with what its data decides; each data set is loaded once."""
    with quiet(configs[0].logging.verbose):
        with starting(phases):
            from kerascnn.devices.plan import setup

            setup(configs[0].devices, configs[0].fit.batch_size)
        return _subjects(configs, phases)


def _subjects(configs: list[Config], phases: Phases) -> list[Subject]:
    from kerascnn import data, training

    loaded: dict[str, Any] = {}
    found = []
    for config in configs:
        key = repr(config.data)
        if key not in loaded:
            loaded[key] = data.load(config.data, data.Room(config.logging.runs_dir), phases)
        splits = loaded[key]
        images = {"train": len(splits.train), "val": len(splits.val), "test": len(splits.test)}
        if not images["test"]:
            raise UserError(f"{splits.name} has no test images: nothing to compare on")
        resolved = training.resolve(config, splits)
        former = splits.former.fingerprint if splits.former else ""
        found.append(Subject(resolved, splits.name, splits.fingerprint, splits.class_names, images, former))
    return found


def counted(config: ResolvedConfig, classes: int) -> tuple[int, int]:
    """Parameters and MACs of a config's network."""
    with quiet(config.logging.verbose):
        from kerascnn import training
    return training.network_cost(config, classes)


def scaled(
    pairs: list[tuple[ResolvedConfig, ResolvedConfig]], classes: int, by: str, phases: Phases = SILENT
) -> list[Match]:
    """Of each pair the width at which the second has the first's macs, params or latency."""
    found = []
    for first, other in pairs:
        with phases.phase(f"looking for the width at which {other.model.arch} has the {by} of {first.model.arch}"):
            found.append(_scaled(first, other, classes, by))
    return found


def _scaled(first: ResolvedConfig, other: ResolvedConfig, classes: int, by: str) -> Match:
    if by == "latency":
        return _by_latency(first, other, classes)
    place = ("params", "macs").index(by)
    limit = counted(first, classes)[place]

    def count(config: ResolvedConfig) -> float:
        return counted(config, classes)[place]

    unit = "parameters" if by == "params" else "MACs"
    return solve_width(_once(other, count), limit, what=f"{unit} of {first.model.arch}", hint=_UNMATCHED)


def _once(config: ResolvedConfig, cost: Callable[[ResolvedConfig], float]) -> Callable[[float, int], float]:
    """`cost` at (width, width_divisor), computed once for each set of filter counts."""
    known: dict[Any, float] = {}

    def at(width: float, width_divisor: int) -> float:
        row, _ = filters.resolve(config.model.arch, Shape(width=width, width_divisor=width_divisor))
        if row not in known:
            known[row] = cost(config.replace(model={"width": width, "width_divisor": width_divisor}))
        return known[row]

    return at


def _by_latency(first: ResolvedConfig, other: ResolvedConfig, classes: int) -> Match:
    """Interleaved with the first arch, so that a machine that slows down slows both: cost is a share of the first's."""
    with quiet(first.logging.verbose):
        from kerascnn import training
        from kerascnn.devices import timing

    def single(config: ResolvedConfig) -> Callable[[], object]:
        return timing.inference(
            training.network(config.model, config.data.image_size, classes), 1, config.data.image_size
        )

    base = single(first)

    def ratio(config: ResolvedConfig) -> float:
        calls = {"first": base, "other": single(config)}
        found = timing.interleaved(calls)
        return float(np.median(found["other"]) / np.median(found["first"]))

    what = f"latency at batch 1, as a share of {first.model.arch}'s,"
    return solve_width(_once(other, ratio), 1.0, what=what, hint=_UNMATCHED)


class Trained(NamedTuple):
    """A few warm training steps: their speed, the most bytes that this process has held, and the seconds that they took."""

    images_per_second: float
    memory: int
    warm_seconds: float


def trained(subject: Subject, phases: Phases = SILENT) -> Trained:
    """Train a few steps."""
    with quiet(subject.config.logging.verbose):
        with starting(phases):
            from kerascnn import data, training
            from kerascnn.devices import timing
            from kerascnn.devices.plan import setup

            plan = setup(subject.config.devices, subject.config.fit.batch_size)
        splits = data.load(subject.config.data, data.Room(subject.config.logging.runs_dir), phases)
        with phases.phase(f"building {subject.config.model.arch}"):
            model = training.build_and_compile(subject.config, splits, plan)
    step, warm = training.seconds_per_step(model, subject.config, splits, phases)
    return Trained(subject.config.fit.batch_size / step, timing.peak_memory(), warm)


def inference(networks: list[tuple[ResolvedConfig, tuple[str, ...]]], executor: Executor) -> list[dict[str, Any]]:
    """Parameters, MACs, latency, throughput and export size of each (config, class names).

    Latency and throughput are taken in rounds in which every network has its turn, so that a machine that slows down
    slows all of them; each number is the median of the rounds. Latency is measured in `PROCESSES` processes.
    """
    slot = executor.slots[0]
    found = executor.call(_inference, networks, slot=slot)
    apiece = [[(one["latency_p50"], one["latency_p95"]) for one in found]]
    for _ in range(PROCESSES - 1):
        apiece.append(executor.call(_latencies, networks, slot=slot))
    for i, one in enumerate(found):
        p50, p95 = zip(*(each[i] for each in apiece), strict=True)
        one |= {"latency_p50": float(np.median(p50)), "latency_p95": float(np.median(p95)), "latencies": p50}
    return found


def _latencies(
    networks: list[tuple[ResolvedConfig, tuple[str, ...]]], phases: Phases = SILENT
) -> list[tuple[float, float]]:
    """The median and the 95 % quantile of each network's latency in this process, in milliseconds."""
    with quiet(networks[0][0].logging.verbose):
        with starting(phases):
            from kerascnn.devices import timing
        with phases.phase("building the networks"):
            calls = [timing.inference(_float32(*network), 1, network[0].data.image_size) for network in networks]
        with phases.phase("timing latency", ROUNDS) as phase:
            rounds = [[timing.latency(call, calls=CALLS) for call in calls] for _ in phase.over(range(ROUNDS))]
    return [
        (float(np.median([each[i].p50_ms for each in rounds])), float(np.median([each[i].p95_ms for each in rounds])))
        for i in range(len(networks))
    ]


def _inference(networks: list[tuple[ResolvedConfig, tuple[str, ...]]], phases: Phases = SILENT) -> list[dict[str, Any]]:
    """What one process says of all networks."""
    latencies = _latencies(networks, phases)
    with quiet(networks[0][0].logging.verbose):
        from kerascnn.devices import timing

        with phases.phase("building the networks"):
            models = [_float32(config, names) for config, names in networks]
        batches = [_batch(config.data.image_size) for config, _ in networks]
        many = [
            timing.inference(model, batch, config.data.image_size)
            for model, batch, (config, _) in zip(models, batches, networks, strict=True)
        ]
        with phases.phase("compiling inference", len(many)) as phase:
            traces = [_seconds(call) - _seconds(call) for call in phase.over(many)]
        with phases.phase("timing throughput", ROUNDS) as phase:
            throughputs = [
                [timing.throughput(call, batch, seconds=0.5) for call, batch in zip(many, batches, strict=True)]
                for _ in phase.over(range(ROUNDS))
            ]
        with phases.phase("measuring the exports' sizes", len(models)) as phase:
            every = phase.over(zip(models, networks, strict=True))
            sizes = [_exported(model, *network) for model, network in every]
    found = []
    for i, (config, names) in enumerate(networks):
        params, macs = counted(config, len(names))
        found.append(
            {
                "params": params,
                "macs": macs,
                "latency_p50": latencies[i][0],
                "latency_p95": latencies[i][1],
                "throughput": float(np.median([each[i] for each in throughputs])),
                "export": sizes[i],
                "trace": max(0.0, traces[i]),
            }
        )
    return found


def _batch(image_size: int) -> int:
    """Of the inference whose throughput is measured: large enough to fill the machine, small enough to be done soon."""
    return 64 if image_size <= 64 else 16


def _float32(config: ResolvedConfig, class_names: tuple[str, ...]) -> Any:
    """The network as it is scored and exported."""
    from kerascnn import training

    return training.network(config.model, config.data.image_size, len(class_names))


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _exported(model: Any, config: ResolvedConfig, class_names: tuple[str, ...]) -> int:
    """Bytes of its SavedModel."""
    from kerascnn.artefacts import savedmodel

    size, resize = config.data.image_size, config.data.resize
    with scratch() as folder:
        made = savedmodel.export(model, folder, class_names=class_names, image_size=size, resize=resize)
        return sum(file.stat().st_size for file in made.rglob("*") if file.is_file())


def seconds_around(subject: Subject, cost: Cost) -> float:
    """Of a run before its epochs and after them: val's scores are compiled, at the end val and test are scored."""
    trace = cost.trace or 0.0
    scored = (subject.images["val"] + subject.images["test"]) / cost.throughput
    return (cost.start_up or 0.0) + 2 * trace + scored


def seconds_per_epoch(subject: Subject, cost: Cost) -> float:
    """Of training on the subject's images and of scoring val."""
    batch = subject.config.fit.batch_size
    steps = -(-subject.images["train"] // batch)
    return steps * batch / cost.images_per_second + subject.images["val"] / cost.throughput
