"""What the plan needs of TensorFlow: who trains on what, what it costs. Each function but `inference` runs `apart`."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from kerascnn.architectures import filters
from kerascnn.cli.progress import SILENT, Phases
from kerascnn.cli.screen import quiet, starting
from kerascnn.comparison.apart import Apart
from kerascnn.config import Config
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.errors import UserError
from kerascnn.runs.scratch import scratch
from kerascnn.studies.budget import Match, solve

ROUNDS, CALLS = 3, 20  # of inference: every network has its turn in each round
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


@dataclass(frozen=True)
class Cost:
    """What one network costs: measured once, warm, on this machine.

    Args:
        params: All weights.
        macs: Multiply-adds of one image's inference.
        images_per_second: Of training.
        latency_p50: Milliseconds of one image's inference (float32, batch 1), the median.
        latency_p95: The same, what 95 of 100 calls stay below.
        throughput: Best images per second of inference.
        export: Bytes of the SavedModel.
        memory: Peak bytes of the process that trained; None where none was measured.
        latencies: The median latency of each process, in all of which every network was measured.
        start_up: Seconds from the start of a process to its second training step; None where none was measured.
        trace: Seconds of the first batch of inference, beyond those of another one; None where none was measured.
    """

    params: int
    macs: int
    images_per_second: float
    latency_p50: float
    latency_p95: float
    throughput: float
    export: int
    memory: int | None = None
    latencies: tuple[float, ...] = ()
    start_up: float | None = None
    trace: float | None = None

    @classmethod
    def read(cls, cell: Mapping[str, Any]) -> "Cost":
        """That of a cell of comparison.toml.

        Raises:
            UserError: It is damaged.
        """
        try:
            numbers = dict(cell["cost"])
            latencies = tuple(value + 0 for value in numbers.pop("latencies", ()))
            return cls(**{name: value + 0 for name, value in numbers.items()}, latencies=latencies)
        except (TypeError, AttributeError, ValueError, KeyError) as error:
            raise UserError(
                f"comparison.toml is damaged: cost: {error}: remove the file, and it is measured anew"
            ) from None


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
    return training.price(config, classes)


def scaled(first: ResolvedConfig, other: ResolvedConfig, classes: int, by: str, phases: Phases = SILENT) -> Match:
    """The width at which `other` has the first's macs, params or latency; counts of one row are taken once."""
    with phases.phase(f"looking for the width at which {other.model.arch} has the {by} of {first.model.arch}"):
        return _scaled(first, other, classes, by)


def _scaled(first: ResolvedConfig, other: ResolvedConfig, classes: int, by: str) -> Match:
    if by == "latency":
        return _by_latency(first, other, classes)
    place = ("params", "macs").index(by)
    budget = counted(first, classes)[place]

    def count(config: ResolvedConfig) -> float:
        return counted(config, classes)[place]

    unit = "parameters" if by == "params" else "MACs"
    return solve(_once(other, count), budget, what=f"{unit} of {first.model.arch}")


def _once(config: ResolvedConfig, cost: Callable[[ResolvedConfig], float]) -> Callable[[float, int], float]:
    """`cost` at (width, width_divisor), computed once for each set of filter counts."""
    known: dict[Any, float] = {}

    def at(width: float, width_divisor: int) -> float:
        row, _ = filters.resolve(config.model.arch, width=width, width_divisor=width_divisor)
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
    return solve(_once(other, ratio), 1.0, what=what)


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


def inference(networks: list[tuple[ResolvedConfig, tuple[str, ...]]], phases: Phases = SILENT) -> list[dict[str, Any]]:
    """Parameters, MACs, latency, throughput and export size of each (config, class names).

    Latency and throughput are taken in rounds in which every network has its turn, so that a machine that slows down
    slows all of them; each number is the median of the rounds. Latency is measured in `PROCESSES` processes.
    """
    with Apart(phases) as apart:
        found = apart(_inference, networks)
    apiece = [[(one["latency_p50"], one["latency_p95"]) for one in found]]
    for _ in range(PROCESSES - 1):
        with Apart(phases) as apart:
            apiece.append(apart(_latencies, networks))
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


def kept(cost: Cost) -> dict[str, Any]:
    """A cost as comparison.toml keeps it: four digits are more than a timing holds."""

    def digits(value: Any) -> Any:
        if isinstance(value, tuple):
            return [digits(one) for one in value]
        return float(f"{value:.4g}") if isinstance(value, float) else value

    return {key: digits(value) for key, value in asdict(cost).items() if value is not None}


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
