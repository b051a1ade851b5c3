"""Measures in rounds in which every part of every arch is timed once, so that a slower machine affects all of them."""

import contextlib
import datetime
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from kerascnn import data, layers, models, training
from kerascnn.architectures import own
from kerascnn.cli.progress import SILENT, Phases
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.data import Splits
from kerascnn.data.cache import Cache
from kerascnn.devices import hardware as machine
from kerascnn.devices import timing
from kerascnn.devices.kernels import onednn
from kerascnn.devices.plan import Plan, inspect_hardware, setup, versions
from kerascnn.models import cost
from kerascnn.speed import memory, tracing
from kerascnn.speed.benchmark_config import BenchmarkConfig
from kerascnn.speed.figures import FAST, STOCK, Figures, require_same_device
from kerascnn.speed.steps import training_data, training_step
from kerascnn.studies.executor import Executor
from kerascnn.training import assembly

# Batch sizes of throughput, of which the fastest counts.
BATCHES = (1, 8, 32, 128)
# Multiply-adds of a training step relative to inference: forward, gradient of the input, gradient of the weights.
TRAINING = 3
# Batches that a stream prefetches while other parts are timed, and which therefore cost nothing.
READY = 4

Part = Callable[[float], dict[str, float]]


class TimedNetwork:
    """An arch in one form, ready to be timed: its parts take seconds and return figures.

    Args:
        config: With what the data decide.
        form: FAST or STOCK.
        splits: The config's data.
        plan: The devices.
        parts: Names of `options.PartName`.
        executor: Runs the measurement of memory.
    """

    def __init__(
        self, config: ResolvedConfig, form: str, splits: Splits, plan: Plan, parts: tuple[str, ...], executor: Executor
    ) -> None:
        self.config, self.splits, self.plan = config, splits, plan
        self.figures = Figures(own.shown(config.model.arch), form, self._facts())
        self.parts: list[Part] = []
        with layers.stock_paths() if form == STOCK else contextlib.nullcontext():
            if "input" in parts and form == FAST:
                self.parts.append(self._input())
            if "train" in parts:
                self.parts.append(self._train())
            if "inference" in parts:
                self.parts += self._inference()
        if "memory" in parts:
            self.figures.add({"memory": executor.call(memory.peak_memory, config, form, slot=executor.slots[0])})

    def _facts(self) -> dict[str, Any]:
        size, classes = self.splits.image_size, len(self.splits.class_names)
        with contextlib.nullcontext() if own.parse(self.config.model.arch) else cost.weightless():
            found = cost.count(assembly.network(self.config.model, size, classes))
        facts = {"image_size": size, "batch_size": self.config.fit.batch_size, "policy": self.plan.policy}
        return {**facts, "params": found.params, "macs": found.macs}

    def round(self, seconds: float) -> None:
        """Times every part once; shares are relative to the speed of a matrix product in the same round."""
        found: dict[str, float] = {}
        for part in self.parts:
            found |= part(seconds)
        operations = 2 * self.figures.facts["macs"]
        for name, share, dtype, times in (
            ("train", "train_share", compute_dtype(self.plan.policy), TRAINING),
            ("throughput", "inference_share", "float32", 1),
        ):
            if name in found:
                found[share] = found[name] * operations * times / timing.matmul_peak(dtype, seconds=seconds / 4)
        self.figures.add(found)

    def _input(self) -> Part:
        batches = iter(training_data(self.config, self.splits, Cache(self.config.data.cache)))

        def part(seconds: float) -> dict[str, float]:
            for _ in range(READY):
                next(batches)
            count, start = 0, time.perf_counter()
            while time.perf_counter() < start + seconds or count < 2:
                next(batches)
                count += 1
            return {"input": count * self.config.fit.batch_size / (time.perf_counter() - start)}

        return part

    def _train(self) -> Part:
        step = training_step(self.config, self.splits, self.plan)
        batches = self.config.fit.accumulate  # only the last accumulated batch ends with an update
        images = batches * self.config.fit.batch_size

        def update() -> None:
            for _ in range(batches):
                step()

        return lambda seconds: {"train": timing.throughput(update, images, seconds)}

    def _inference(self) -> list[Part]:
        size, classes = self.splits.image_size, len(self.splits.class_names)
        network = models.float32_twin(assembly.network(self.config.model, size, classes))
        single = timing.inference(network, 1, size)
        rates = {batch: timing.throughput(timing.inference(network, batch, size), batch, 0.0) for batch in BATCHES}
        best = max(rates, key=lambda batch: rates[batch])
        self.figures.facts["throughput_batch"] = best
        many = timing.inference(network, best, size)
        for traced_here in (single, many):  # within the context of the form: a function is traced at its first call
            traced_here()

        def latency(seconds: float) -> dict[str, float]:
            once = timing.latency(single, calls=3, warm=1).p50_ms / 1000
            found = timing.latency(single, calls=int(np.clip(seconds / once, 20, 1000)), warm=1)
            return {"latency_p50": found.p50_ms, "latency_p95": found.p95_ms}

        return [latency, lambda seconds: {"throughput": timing.throughput(many, best, seconds)}]


def run(
    request: BenchmarkConfig,
    executor: Executor,
    say: Callable[[str], None],
    before: Sequence[Mapping[str, Any]] = (),
    phases: Phases = SILENT,
) -> tuple[list[Figures], dict[str, Any]]:
    """Returns the figures of every requested arch and form, and the environment.

    Raises:
        UserError: An unknown arch, data set or device, or rows of `before` are from another device; before anything is measured.
    """
    asked, configs = request.benchmark, request.configs()
    plan = setup(configs[0].devices, configs[0].fit.batch_size)
    splits = data.load(configs[0].data, phases=phases)
    environment = facts(plan)
    require_same_device(environment, before)
    versions = f"tensorflow {environment['tensorflow']}, keras {environment['keras']}"
    say(f"device  {environment['device']}: {plan.reason}; {versions}")
    forms = (FAST, STOCK) if asked.vs == "stock" else (FAST,)
    subjects = []
    for config in configs:
        resolved = training.resolve(config, splits)
        for form in forms:
            with phases.phase(f"compiling {own.shown(resolved.model.arch)} ({form})"):
                subjects.append(TimedNetwork(resolved, form, splits, plan, asked.parts, executor))
    with phases.phase("timing", asked.rounds * len(subjects)) as phase:
        for subject in phase.over(asked.rounds * subjects):
            subject.round(asked.seconds)
    peaks = {f"peak_{dtype}": timing.matmul_peak(dtype) for dtype in ("float32", compute_dtype(plan.policy))}
    shown = ", ".join(f"{name.removeprefix('peak_')} {value / 1e9:.0f}" for name, value in peaks.items())
    say(f"peak    GFLOP/s of a matrix product: {shown}; figures are medians of {asked.rounds} rounds [quartiles]")
    return [subject.figures for subject in subjects], {**environment, **peaks}


def compute_dtype(policy: str) -> str:
    """Returns the dtype in which a network of a dtype policy computes."""
    return keras.DTypePolicy(policy).compute_dtype


def facts(plan: Plan) -> dict[str, Any]:
    """Returns what figures depend on besides the arch."""
    hardware = inspect_hardware()
    device = ", ".join(name for name, _ in hardware.gpus) if plan.kind == "gpu" else _cpu_name()
    if plan.kind == "cpu":
        device += f", {hardware.cpus} cores"
    replicas = f", {plan.replicas} replicas" if plan.replicas > 1 else ""
    date = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    return {"device": device + replicas, "jit": plan.jit, "onednn": onednn(), "date": date, **versions()}


def _cpu_name() -> str:
    units = sorted(machine.BF16_FLAGS & machine.cpu_flags())
    return f"{machine.cpu_name()} ({units[0]})" if units else machine.cpu_name()


def trace(request: BenchmarkConfig) -> list[str]:
    """Returns the ten most expensive operations of the training step of every arch as lines; needs xprof."""
    plan = setup(request.devices, request.fit.batch_size)
    splits = data.load(request.data)
    shown = []
    for config in request.configs():
        step = training_step(training.resolve(config, splits), splits, plan)
        shown += ["", f"{own.shown(config.model.arch)}: share of a training step, ms a step, times a step, operation"]
        shown += [f"  {line}" for line in tracing.dearest(step)]
    return shown
