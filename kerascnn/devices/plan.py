"""Decides how a run executes: seeds, dtype policy, strategy, XLA. The decision is a pure function of hardware and flags."""

import contextlib
import functools
import os
import platform
from dataclasses import asdict, dataclass
from typing import Any

import keras
import tensorflow as tf

from kerascnn.compat import keras_workers
from kerascnn.config import Devices
from kerascnn.devices import hardware as machine
from kerascnn.devices import multi_worker
from kerascnn.devices.cluster import Cluster
from kerascnn.devices.kernels import onednn
from kerascnn.devices.team import ALONE, Joined, Team
from kerascnn.errors import UserError


@dataclass(frozen=True)
class Hardware:
    """The hardware: names and compute capabilities of GPUs, CPU flags, CPUs of this process, a text about oneDNN."""

    gpus: tuple[tuple[str, tuple[int, int]], ...] = ()
    cpu_flags: frozenset[str] = frozenset()
    cpus: int = 1
    onednn: str = ""


@dataclass(frozen=True)
class Plan:
    """The devices and settings with which a run executes.

    Attributes:
        kind: "cpu" or "gpu".
        replicas: Number of devices that share a batch, on all hosts; above 1, a strategy replicates the model.
        policy: Keras dtype policy of training.
        jit: Whether XLA compiles the step.
        reason: A line for the screen.
        workers: Number of hosts, or of processes that train as if they were hosts.
        cluster: They, and which of them this process is; None for one.
    """

    kind: str
    replicas: int
    policy: str
    jit: bool
    reason: str
    workers: int = 1
    cluster: Cluster | None = None

    def facts(self) -> dict[str, Any]:
        """Returns the plan for environment.json."""
        return {name: value for name, value in asdict(self).items() if name != "cluster"}

    @property
    def strategy(self) -> tf.distribute.Strategy | None:
        """The strategy of several devices, the same each time; None for one, where it would only turn XLA off."""
        if self.cluster is not None:
            return multi_worker.strategy(self.cluster, self.kind, self.replicas // self.workers)
        return _mirrored(tuple(f"{self.kind.upper()}:{i}" for i in range(self.replicas))) if self.replicas > 1 else None

    def distributed(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Returns the batches as training over these devices takes them: of several workers each gives its own part."""
        if self.cluster is None:
            return dataset
        return multi_worker.distributed(dataset, self.strategy, self.replicas // self.workers)

    @contextlib.contextmanager
    def scope(self):
        """The context in which the model is built and compiled: the dtype policy, and the same strategy each time."""
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.policy)
        try:
            with tf.device(f"/{self.kind.upper()}:0") if self.strategy is None else self.strategy.scope():
                yield
        finally:
            keras.config.set_dtype_policy(before)


@functools.cache
def _mirrored(names: tuple[str, ...]) -> tf.distribute.Strategy:
    """Returns the process's only strategy for these devices: a strategy rejects the variables of another one."""
    # TensorFlow's CPU collectives keep their keys for the whole process, so that the gradients of a second model meet the
    # shapes of the first ("Shape mismatch in the collective instance"). Summing on one device keeps nothing.
    summed = tf.distribute.ReductionToOneDevice() if names[0].startswith("CPU") else None
    return tf.distribute.MirroredStrategy(names, cross_device_ops=summed)


def decide(hardware: Hardware, flags: Devices, batch_size: int, cluster: Cluster | None = None) -> Plan:
    """Returns the plan for this hardware and these flags. It is a pure function, so that GPU plans are tested without a GPU.

    Args:
        hardware: That of this host.
        flags: The config's devices section.
        batch_size: Images of a step, on all hosts together.
        cluster: The hosts of the training, each of which has the same devices; None for one.

    Raises:
        UserError: More devices than available, or a combination that TensorFlow cannot run.
    """
    kind, _, count = flags.devices.partition(":")
    if kind == "auto":
        kind = "gpu" if hardware.gpus else "cpu"
    if kind == "gpu" and not hardware.gpus:
        raise UserError(
            "--devices gpu: TensorFlow sees no GPU (driver, pip install 'kerascnn[gpu]', CUDA_VISIBLE_DEVICES?)"
        )
    replicas = int(count) if count else max(1, len(hardware.gpus)) if kind == "gpu" else 1
    if kind == "gpu" and replicas > len(hardware.gpus):
        raise UserError(f"--devices {flags.devices}: only {len(hardware.gpus)} GPU(s) here")
    workers = 1 if cluster is None else len(cluster.workers)
    if kind == "cpu" and replicas > 1 and workers > 1:
        raise UserError(f"--devices {flags.devices}: of several hosts each has one CPU device; give --devices cpu")
    where = _where(hardware, kind, replicas)
    replicas *= workers
    if batch_size % replicas:
        lower = batch_size - batch_size % replicas or replicas
        raise UserError(f"--batch-size {batch_size} does not divide over {replicas} replicas: {lower} does")
    policy, why = _policy(hardware, flags, kind)
    jit, xla = _jit(flags, kind, replicas, policy)
    hosts = f"{workers} workers, each with " if workers > 1 else ""
    return Plan(kind, replicas, policy, jit, f"{hosts}{where}, {policy} ({why}){xla}", workers, cluster)


def _where(hardware: Hardware, kind: str, replicas: int) -> str:
    if kind == "gpu":
        name = hardware.gpus[0][0]
        return f"{replicas} GPUs ({name}), mirrored" if replicas > 1 else f"GPU ({name})"
    cores = f"{hardware.cpus} core{'s' if hardware.cpus > 1 else ''}"
    kernels = f", {hardware.onednn}" if hardware.onednn else ""
    return (f"{replicas} logical CPU devices on {cores}, mirrored" if replicas > 1 else f"CPU ({cores})") + kernels


def _policy(hardware: Hardware, flags: Devices, kind: str) -> tuple[str, str]:
    if flags.dtype != "auto":
        return flags.dtype, "--dtype"
    if kind == "cpu":
        units = sorted(machine.BF16_FLAGS & hardware.cpu_flags)
        return ("mixed_bfloat16", f"the CPU has {units[0]}") if units else ("float32", "the CPU has no bfloat16 units")
    lowest = min(capability for _, capability in hardware.gpus)
    if lowest >= (8, 0):
        return "mixed_bfloat16", "compute capability 8 or higher"
    if lowest >= (7, 0):
        return "mixed_float16", "tensor cores before Ampere"
    return "float32", "no tensor cores"


def _jit(flags: Devices, kind: str, replicas: int, policy: str) -> tuple[bool, str]:
    if flags.jit == "on" and replicas > 1:
        hint = " and crashes with mixed_float16 (keras#21366)" if policy == "mixed_float16" else ""
        raise UserError(f"--jit on: Keras runs no XLA under a strategy{hint}; use --devices {kind}:1 or --jit auto")
    if flags.jit == "on" or (flags.jit == "auto" and kind == "gpu" and replicas == 1):
        slow = "; XLA is about 4 times slower for convolutions on a CPU" if kind == "cpu" else ""
        return True, f", XLA{slow}"
    return False, ""


_plan: Plan | None = None


def setup(flags: Devices, batch_size: int, team: Team = ALONE) -> Plan:
    """Decides on a plan, and configures TensorFlow for it before it starts. Further calls with the same flags do nothing.

    Args:
        flags: The config's devices section.
        batch_size: Images of a step, on all hosts together.
        team: The workers that train together, all of which make this call.

    Raises:
        UserError: As `decide`, TensorFlow has already started with fewer logical devices, or workers have other devices.
    """
    global _plan
    cluster = team.cluster if isinstance(team, Joined) else None
    plan = decide(inspect_hardware(), flags, batch_size, cluster)
    if plan.kind == "gpu":
        _gpus(plan.replicas // plan.workers, cluster)
    elif plan.replicas > plan.workers:
        _logical_cpus(plan.replicas)
    if cluster is not None and plan != _plan:
        team.agree("devices", {"kind": plan.kind, "replicas": plan.replicas, "dtype": plan.policy})
        assert plan.strategy is not None  # starts TensorFlow's server
        team.when_broken(keras_workers.abort)
    _plan = plan
    return plan


def _gpus(count: int, cluster: Cluster | None) -> None:
    gpus = tf.config.list_physical_devices("GPU")
    with contextlib.suppress(RuntimeError):  # TensorFlow has started: its setting stays
        if cluster is not None:  # this strategy takes all that it sees
            tf.config.set_visible_devices(gpus[:count], "GPU")
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)


def _logical_cpus(count: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    present = tf.config.get_logical_device_configuration(cpu)
    if present is not None and len(present) >= count:
        return
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError:
        raise UserError(
            f"--devices cpu:{count}: TensorFlow has started with fewer devices; use a new process"
        ) from None


def inspect_hardware() -> Hardware:
    """Returns the hardware that this process may use."""
    gpus = []
    for gpu in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpu)
        gpus.append((details.get("device_name", "unknown"), tuple(details.get("compute_capability", (0, 0)))))
    said = machine.onednn_said(onednn(), machine.onednn_pays_here(), os.environ.get(machine.ONEDNN))
    return Hardware(tuple(gpus), machine.cpu_flags(), machine.available_cpus(), said)


def versions() -> dict[str, str]:
    """Returns the versions that determine a result, for environment.json."""
    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "machine": platform.machine(),
    }


def kernels() -> dict[str, Any]:
    """Returns what else determines the last bits of a result on a CPU: its model, its kernels and TensorFlow's threads."""
    cpus, ask = machine.available_cpus(), tf.config.threading
    return {
        "cpu": machine.cpu_name(),
        "onednn": onednn(),
        "isa": machine.isa(machine.cpu_flags(), os.environ),
        "threads": machine.threads(ask.get_intra_op_parallelism_threads(), "TF_NUM_INTRAOP_THREADS", os.environ, cpus),
        "inter_op_threads": machine.threads(
            ask.get_inter_op_parallelism_threads(), "TF_NUM_INTEROP_THREADS", os.environ, cpus
        ),
    }


def host_values(variables: list[Any]) -> list[Any]:
    """Returns the variables' values as numpy arrays; under a strategy those of the first replica."""
    return [keras.ops.convert_to_numpy(variable.value) for variable in variables]
