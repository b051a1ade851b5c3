"""The facts of a machine and an installation. They hold no names of hosts or users, no paths and no variables."""

import datetime
import importlib.metadata
import os
import platform
import resource
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import Requirement

from kerascnn.devices import hardware
from kerascnn.devices.free_memory import free_memory
from kerascnn.diagnosis.disk import Disk

PACKAGE = "kerascnn"
# Of each extra, the package that shows whether it is installed.
EXTRAS = {
    "onnx": "onnxruntime",
    "litert": "ai-edge-litert",
    "serve": "fastapi",
    "hub": "huggingface_hub",
    "audit": "cleanlab",
    "heif": "pillow-heif",
    "datasets": "datasets",
    "s3": "s3fs",
    "gs": "gcsfs",
    "profile": "xprof",
}
CPU_MAX = Path("/sys/fs/cgroup/cpu.max")  # of cgroup v2: "quota period", or "max period"


@dataclass(frozen=True)
class TensorFlowFacts:
    """What TensorFlow says once it is imported.

    Attributes:
        error: Why it cannot be imported; the other facts are then empty.
        onednn: Whether its CPU kernels are those of oneDNN.
        threads: Threads within one operation.
        inter_op_threads: Threads between operations.
        gpus: Name of each GPU with its compute capability.
    """

    error: str = ""
    onednn: bool = False
    threads: int = 0
    inter_op_threads: int = 0
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True)
class OneDnnWorth:
    """Training images/s of a small network with oneDNN and without, each in a process of its own.

    Attributes:
        on, off: Images/s; 0 if that process failed.
        error: Why there is no figure.
    """

    on: float = 0.0
    off: float = 0.0
    error: str = ""

    @property
    def ratio(self) -> float:
        """Speed with oneDNN over speed without; 0 if it was not measured."""
        return self.on / self.off if self.on and self.off else 0.0


@dataclass(frozen=True)
class MachineFacts:
    """Everything that is known about this machine and installation.

    Attributes:
        versions: Version of Python, of this package and of each required package; "" if it is missing.
        required: The versions that this package requires, as specifiers.
        extras: Version of each extra's package; "" if it is not installed.
        system: Name and release of the operating system, and type of machine.
        cpu: Model of the CPU.
        cpus: Number of CPUs that this process may use.
        quota: CPUs that the container grants; infinite without a limit.
        isa: Best instruction set that oneDNN may use, as Linux names it.
        limited: Whether a variable is an upper limit of oneDNN's instruction set.
        bfloat16: Whether the CPU has units for bfloat16.
        onednn_pays: Whether TensorFlow leaves oneDNN off here by itself although the CPU would gain from it.
        onednn_off: Whether a variable turns oneDNN off.
        nvidia: Whether the driver of an NVIDIA GPU is loaded.
        free, total: Bytes of memory.
        open_files: Number of files that this process may have open.
        disks: What was measured at each place that is written to.
        year: The year by this machine's clock.
        tensorflow: What TensorFlow says.
        worth: What oneDNN is worth; None if it was not measured.
    """

    versions: Mapping[str, str] = field(default_factory=dict)
    required: Mapping[str, str] = field(default_factory=dict)
    extras: Mapping[str, str] = field(default_factory=dict)
    system: str = ""
    cpu: str = ""
    cpus: int = 1
    quota: float = float("inf")
    isa: str = ""
    limited: bool = False
    bfloat16: bool = False
    onednn_pays: bool = False
    onednn_off: bool = False
    nvidia: bool = False
    free: int = 0
    total: int = 0
    open_files: int = 0
    disks: tuple[Disk, ...] = ()
    year: int = 0
    tensorflow: TensorFlowFacts = TensorFlowFacts()
    worth: OneDnnWorth | None = None


def collect(disks: tuple[Disk, ...], tensorflow: TensorFlowFacts, worth: OneDnnWorth | None) -> MachineFacts:
    """Returns the facts of this machine, with those that were measured."""
    flags = hardware.cpu_flags()
    without = {name: value for name, value in os.environ.items() if name != hardware.ONEDNN}
    return MachineFacts(
        versions=_versions(),
        required=_required(),
        extras={extra: _version(package) for extra, package in EXTRAS.items()},
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        cpu=hardware.cpu_name(),
        cpus=hardware.available_cpus(),
        quota=quota(CPU_MAX),
        isa=hardware.isa(flags, os.environ),
        limited=any(name in os.environ for name in hardware.ISA_CEILINGS),
        bfloat16=bool(hardware.BF16_FLAGS & flags),
        onednn_pays=hardware.onednn_pays_here(without),
        onednn_off=os.environ.get(hardware.ONEDNN) == "0",
        nvidia=Path("/proc/driver/nvidia/version").exists(),
        free=free_memory(),
        total=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        disks=disks,
        year=datetime.datetime.now().year,
        tensorflow=tensorflow,
        worth=worth,
    )


def quota(file: Path) -> float:
    """Returns the CPUs that a container grants, from the file `cpu.max` of its cgroup; infinite without a limit."""
    try:
        granted, period = file.read_text(encoding="utf-8").split()
        return int(granted) / int(period)
    except (OSError, ValueError):  # no such file, or "max"
        return float("inf")


def _versions() -> dict[str, str]:
    """Returns the versions of Python, of this package and of what it requires."""
    return {
        "Python": platform.python_version(),
        PACKAGE: _version(PACKAGE),
        **{name: _version(name) for name in _required()},
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _required() -> dict[str, str]:
    """Returns the specifier of each package that this one requires without an extra; empty if it is not installed."""
    try:
        lines = importlib.metadata.requires(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    wanted = [Requirement(line) for line in lines]
    named = {one.name: str(one.specifier) for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})}
    first = {name: named.pop(name) for name in ("tensorflow", "keras") if name in named}
    return first | named
