"""What to change, in one line each: a pure function of the facts."""

import math
from collections.abc import Iterator

from packaging.specifiers import SpecifierSet

from kerascnn.devices import hardware
from kerascnn.diagnosis.disk import Disk
from kerascnn.diagnosis.facts import MachineFacts

MEMORY = 2 * 2**30  # bytes, below which a training of photos may be killed
DISK = 2 * 2**30  # bytes, below which runs, exports and caches may not fit
SLOW = 20e6  # bytes/s: a checkpoint of ResNet-50 with its optimizer takes 15 s
SKEW = 2.0  # seconds
OPEN_FILES = 1024
GAIN = 1.1  # ratios nearer to 1 are taken for noise
FIRST_YEAR = 2026  # of this version


def advise(facts: MachineFacts) -> list[str]:
    """Returns what to change, the most important first; empty if everything is as it should be."""
    return [*_installation(facts), *_cpu(facts), *_memory(facts), *_places(facts)]


def _installation(facts: MachineFacts) -> Iterator[str]:
    for package, wanted in facts.required.items():
        found = facts.versions.get(package, "")
        if not found:
            yield f"{package} is missing: pip install '{package}{wanted}'"
        elif found not in SpecifierSet(wanted, prereleases=True):
            yield f"{package} {found} is not a tested version: pip install '{package}{wanted}'"
    if not facts.required:
        yield "kerascnn is not installed, only imported: pip install -e . (or pip install kerascnn) sets it up"
    if facts.tensorflow.error:
        yield f"TensorFlow cannot be imported ({facts.tensorflow.error}): install it again in a fresh environment"
    elif facts.nvidia and not facts.tensorflow.gpus:
        yield "TensorFlow sees no GPU beside the NVIDIA driver: pip install 'kerascnn[gpu]'; see CUDA_VISIBLE_DEVICES too"


def _cpu(facts: MachineFacts) -> Iterator[str]:
    ratio = facts.worth.ratio if facts.worth else 0.0
    on = facts.tensorflow.onednn
    if not facts.tensorflow.error:
        if not on and (ratio > GAIN or (not ratio and facts.onednn_pays)):
            gain = f"; a training step is {ratio:.2f} times as fast with it" if ratio else ""
            cure = f"unset {hardware.ONEDNN}" if facts.onednn_off else f"set {hardware.ONEDNN}=1"
            yield f"oneDNN is off{gain}: {cure}"
        if on and 0 < ratio < 1 / GAIN:
            yield f"oneDNN is on, and a training step is {1 / ratio:.2f} times as fast without it: set {hardware.ONEDNN}=0"
        yield from _threads(facts)
    if facts.limited:
        variables = " and ".join(hardware.ISA_CEILINGS)
        yield f"a variable limits the instruction sets of oneDNN to {facts.isa or 'none'}: unset {variables}"


def _threads(facts: MachineFacts) -> Iterator[str]:
    threads = facts.tensorflow.threads
    granted = math.ceil(min(facts.cpus, facts.quota))
    if threads > granted:
        yield f"TensorFlow starts {threads} threads for {granted} CPUs: set TF_NUM_INTRAOP_THREADS={granted}"
    elif threads < granted:
        yield f"TensorFlow uses {threads} of {granted} CPUs: unset TF_NUM_INTRAOP_THREADS"


def _memory(facts: MachineFacts) -> Iterator[str]:
    if facts.free < MEMORY:
        yield f"{facts.free / 2**30:.1f} GiB of memory are free: end other programs, or lower --batch-size"
    if facts.open_files < OPEN_FILES:
        yield f"this process may open {facts.open_files} files: ulimit -n {OPEN_FILES}"


def _places(facts: MachineFacts) -> Iterator[str]:
    for disk in facts.disks:
        yield from _place(disk)
    if facts.year < FIRST_YEAR:
        yield f"the clock says {facts.year}: set it, runs and leases are ordered by it"


def _place(disk: Disk) -> Iterator[str]:
    if disk.error:
        yield f"{disk.what} cannot be written ({disk.error}): another folder is chosen by its flag, such as --runs-dir"
        return
    if disk.free < DISK:
        yield f"{disk.what}: {disk.free / 2**30:.1f} GiB are free on that disk: make room, or choose another folder"
    if 0 < disk.written < SLOW:
        yield f"{disk.what}: {disk.written / 1e6:.0f} MB/s are written, so checkpoints take long: choose a faster disk"
    if abs(disk.skew) > SKEW:
        yield f"{disk.what}: the clock of that file system is {disk.skew:+.0f} s off: synchronize both (ntp)"
