"""Decides how a run executes: seeds, dtype policy, strategy, XLA. The decision is a pure function of hardware and flags."""

import contextlib
import functools
import os
import platform
from dataclasses import asdict, dataclass
from typing import Any

import keras
import tensorflow as tf

from kerascnn.config import Devices
from kerascnn.devices import hardware as machine
from kerascnn.devices.kernels import onednn
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
        replicas: Number of devices that share a batch; above 1, MirroredStrategy replicates the model.
        policy: Keras dtype policy of training.
        jit: Whether XLA compiles the step.
        reason: A line for the screen.
    """

    kind: str
    replicas: int
    policy: str
    jit: bool
    reason: str

    def facts(self) -> dict[str, Any]:
        """Returns the plan for environment.json."""
        return asdict(self)

    @contextlib.contextmanager
    def scope(self):
        """The context in which the model is built and compiled: the dtype policy, and the same strategy each time.

        One device has no strategy: it would only turn XLA off.
        """
        names = tuple(f"{self.kind.upper()}:{i}" for i in range(self.replicas))
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.policy)
        try:
            with _mirrored(names).scope() if self.replicas > 1 else tf.device(f"/{names[0]}"):
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


def decide(hardware: Hardware, flags: Devices, batch_size: int) -> Plan:
    """Returns the plan for this hardware and these flags. It is a pure function, so that GPU plans are tested without a GPU.

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
    if batch_size % replicas:
        lower = batch_size - batch_size % replicas or replicas
        raise UserError(f"--batch-size {batch_size} does not divide over {replicas} replicas: {lower} does")
    policy, why = _policy(hardware, flags, kind)
    jit, xla = _jit(flags, kind, replicas, policy)
    where = _where(hardware, kind, replicas)
    return Plan(kind, replicas, policy, jit, f"{where}, {policy} ({why}){xla}")


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


def setup(flags: Devices, batch_size: int) -> Plan:
    """Decides on a plan, and configures TensorFlow for it before it starts. Further calls with the same flags do nothing.

    Raises:
        UserError: As `decide`, or TensorFlow has already started with fewer logical devices.
    """
    global _plan
    plan = decide(inspect_hardware(), flags, batch_size)
    if plan.kind == "gpu":
        for gpu in tf.config.list_physical_devices("GPU"):
            with contextlib.suppress(RuntimeError):  # TensorFlow has started: its setting stays
                tf.config.experimental.set_memory_growth(gpu, True)
    elif plan.replicas > 1:
        _logical_cpus(plan.replicas)
    _plan = plan
    return plan


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
