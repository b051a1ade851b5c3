"""The parts of a plan that need TensorFlow: costs. Its functions are called in subprocesses."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from kerascnn.architectures import filters, own
from kerascnn.architectures.shape import Shape
from kerascnn.cli.progress import SILENT, Phases
from kerascnn.cli.screen import quiet, starting
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.errors import UserError
from kerascnn.runs.scratch import scratch
from kerascnn.studies.budget import WIDTH_DIVISORS, Match, solve_width
from kerascnn.studies.executor import Executor
from kerascnn.studies.measured_cost import Cost
from kerascnn.studies.targets import Target

ROUNDS, CALLS = 3, 20  # rounds of inference, in each of which every network is timed once
_UNMATCHED = "choose another first arch, or --match none"
PROCESSES = 5  # processes that measure latencies, since each process gives different values


def counted(config: ResolvedConfig, classes: int) -> tuple[int, int]:
    """Returns parameters and MACs of a resolved config's network."""
    with quiet(config.logging.verbose):
        from kerascnn import training

        return training.network_cost(config, classes)


def scaled(
    pairs: list[tuple[ResolvedConfig, ResolvedConfig]], classes: int, by: str, phases: Phases = SILENT
) -> list[Match]:
    """Returns for each pair the width at which the second network has the first's macs, params or latency."""
    found = []
    for first, other in pairs:
        with phases.phase(
            f"looking for the width of {own.shown(other.model.arch)} for the {by} of {own.shown(first.model.arch)}"
        ):
            found.append(_scaled(first, other, classes, by))
    return found


def _scaled(first: ResolvedConfig, other: ResolvedConfig, classes: int, by: str) -> Match:
    if by == "latency":
        return _by_latency(first, other, classes)
    place = ("params", "macs").index(by)
    _check_scalable(other)
    limit = counted(first, classes)[place]

    def count(config: ResolvedConfig) -> float:
        return counted(config, classes)[place]

    unit = "parameters" if by == "params" else "MACs"
    return _solved(other, count, limit, f"{unit} of {own.shown(first.model.arch)}")


def _check_scalable(config: ResolvedConfig) -> None:
    """Raises UserError for a function without a width."""
    function = own.parse(config.model.arch)
    if function and own.takes(function, "width") is None:
        raise UserError(
            f"--match: {function.name} takes no argument width or alpha: name it first, and the others match its cost,"
            " or --match none"
        )


def _solved(config: ResolvedConfig, cost: Callable[[ResolvedConfig], float], limit: float, what: str) -> Match:
    """Returns the width at which a network has a cost; a function rounds its own counts."""
    divisors = (config.model.width_divisor,) if own.parse(config.model.arch) else WIDTH_DIVISORS
    return solve_width(_once(config, cost), limit, what=what, hint=_UNMATCHED, divisors=divisors)


def _once(config: ResolvedConfig, cost: Callable[[ResolvedConfig], float]) -> Callable[[float, int], float]:
    """Returns `cost` at (width, width_divisor), computed once for each set of filter counts."""
    known: dict[Any, float] = {}

    def at(width: float, width_divisor: int) -> float:
        if own.parse(config.model.arch):
            row: Any = width
        else:
            row, _ = filters.resolve(config.model.arch, Shape(width=width, width_divisor=width_divisor))
        if row not in known:
            known[row] = cost(config.replace(model={"width": width, "width_divisor": width_divisor}))
        return known[row]

    return at


def _by_latency(first: ResolvedConfig, other: ResolvedConfig, classes: int) -> Match:
    """Measures latency interleaved with the first arch, as a share of its latency, so that a slower machine affects both."""
    with quiet(first.logging.verbose):
        from kerascnn import training
        from kerascnn.devices import timing

    _check_scalable(other)

    def single(config: ResolvedConfig) -> Callable[[], object]:
        training.find_network(config)
        return timing.inference(
            training.network(config.model, config.data.image_size, classes), 1, config.data.image_size
        )

    base = single(first)

    def ratio(config: ResolvedConfig) -> float:
        calls = {"first": base, "other": single(config)}
        found = timing.interleaved(calls)
        return float(np.median(found["other"]) / np.median(found["first"]))

    what = f"latency at batch 1, as a share of {own.shown(first.model.arch)}'s,"
    return _solved(other, ratio, 1.0, what)


class Trained(NamedTuple):
    """Warm training steps: their speed, the peak bytes of this process, their seconds, and those of TensorFlow's import."""

    images_per_second: float
    memory: int
    warm_seconds: float
    import_seconds: float


def trained(subject: Target, phases: Phases = SILENT) -> Trained:
    """Trains a few steps. Called in a process that shares no memory, whose peak would not be that of a training alone."""
    verbose = subject.config.logging.verbose
    with starting(phases) as start, quiet(verbose):
        from kerascnn import data, training
        from kerascnn.devices import timing
        from kerascnn.devices.plan import setup

        plan = setup(subject.config.devices, subject.config.fit.batch_size)
    import_seconds = start.seconds
    with quiet(verbose):
        splits = data.load(subject.config.data, data.Room(subject.config.logging.runs_dir), phases)
        with phases.phase(f"building {own.shown(subject.config.model.arch)}"):
            model = training.build_and_compile(subject.config, splits, plan)
    step, warm = training.seconds_per_step(model, subject.config, splits, phases)
    return Trained(subject.config.fit.batch_size / step, timing.peak_memory(), warm, import_seconds)


def inference(networks: list[tuple[ResolvedConfig, tuple[str, ...]]], executor: Executor) -> list[dict[str, Any]]:
    """Returns parameters, MACs, latency, throughput and export size of each (resolved config, class names).

    Latency and throughput are measured in rounds in which every network is timed once, so that a slower machine affects all;
    each number is the median of the rounds. Latency is measured in `PROCESSES` processes.
    """
    slot = executor.slots[0]
    found = executor.call(_inference, networks, slot=slot, alone=True)
    apiece = [[(one["latency_p50"], one["latency_p95"]) for one in found]]
    for _ in range(PROCESSES - 1):
        apiece.append(executor.call(_latencies, networks, slot=slot, alone=True))
    for i, one in enumerate(found):
        p50, p95 = zip(*(each[i] for each in apiece), strict=True)
        one |= {"latency_p50": float(np.median(p50)), "latency_p95": float(np.median(p95)), "latencies": p50}
    return found


def _latencies(
    networks: list[tuple[ResolvedConfig, tuple[str, ...]]], phases: Phases = SILENT
) -> list[tuple[float, float]]:
    """Returns the median and the 95th percentile of each network's latency in this process, in milliseconds."""
    verbose = networks[0][0].logging.verbose
    with starting(phases), quiet(verbose):
        from kerascnn.devices import timing
    with quiet(verbose):
        with phases.phase("building the networks"):
            calls = [timing.inference(_float32(*network), 1, network[0].data.image_size) for network in networks]
        with phases.phase("timing latency", ROUNDS) as phase:
            rounds = [[timing.latency(call, calls=CALLS) for call in calls] for _ in phase.over(range(ROUNDS))]
    return [
        (float(np.median([each[i].p50_ms for each in rounds])), float(np.median([each[i].p95_ms for each in rounds])))
        for i in range(len(networks))
    ]


def _inference(networks: list[tuple[ResolvedConfig, tuple[str, ...]]], phases: Phases = SILENT) -> list[dict[str, Any]]:
    """Returns the measurements of one process for all networks."""
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
    """Returns the batch size of the measured throughput: large enough for the machine, small enough to be quick."""
    return 64 if image_size <= 64 else 16


def _float32(config: ResolvedConfig, class_names: tuple[str, ...]) -> Any:
    """Returns the network as it is scored and exported."""
    from kerascnn import training

    training.find_network(config)
    return training.network(config.model, config.data.image_size, len(class_names))


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _exported(model: Any, config: ResolvedConfig, class_names: tuple[str, ...]) -> int:
    """Returns the bytes of its SavedModel."""
    from kerascnn.artefacts import savedmodel

    size, resize = config.data.image_size, config.data.resize
    with scratch() as folder:
        made = savedmodel.export(model, folder, class_names=class_names, image_size=size, resize=resize)
        return sum(file.stat().st_size for file in made.rglob("*") if file.is_file())


def seconds_around(subject: Target, cost: Cost) -> float:
    """Returns the seconds of a run before and after its epochs: compiling the scores of val, scoring val and test at the end."""
    trace = cost.trace or 0.0
    scored = (subject.images["val"] + subject.images["test"]) / cost.throughput
    return (cost.start_up or 0.0) + 2 * trace + scored


def seconds_per_epoch(subject: Target, cost: Cost) -> float:
    """Returns the seconds of an epoch of training and of scoring val."""
    batch = subject.config.fit.batch_size
    steps = -(-subject.images["train"] // batch)
    return steps * batch / cost.images_per_second + subject.images["val"] / cost.throughput
