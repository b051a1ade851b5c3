"""The machine's CPU, TensorFlow's threads, and whether TensorFlow's CPU kernels are those of oneDNN. No TensorFlow.

TensorFlow decides about oneDNN when its library is loaded. It leaves oneDNN off on x86 CPUs that have AVX2 but none of
the newer units for neural networks, where a training step takes up to twice as long without it
(experiments/results/speed.md). `use_onednn` turns it on there, before TensorFlow is imported.
"""

import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
ISA_CEILINGS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")  # variables of oneDNN; the first takes precedence

# CPU flags (Linux's names) under which oneDNN runs bfloat16 at full speed.
BF16_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})
# With any of these, TensorFlow on Linux turns oneDNN on itself (tensorflow/core/util/port.cc, DefaultOneDnnPolicy).
DEFAULT_FLAGS = frozenset({"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"})
# Instruction sets with oneDNN kernels, best first: the flag of each, and the values of ISA_CEILINGS that allow it.
_ISAS = (
    ("amx_bf16", ("AMX",)),
    ("avx512_fp16", ("AMX", "FP16")),
    ("avx512_bf16", ("AMX", "FP16", "BF16")),
    ("avx512_vnni", ("AMX", "FP16", "BF16", "AVX512_CORE_VNNI")),
    ("avx512bw", ("AMX", "AVX512")),
    ("avx_vnni", ("AMX", "AVX512", "AVX2_VNNI")),
    ("avx2", ("AMX", "AVX512", "AVX2")),
    ("avx", ("AMX", "AVX")),
    ("sse4_1", ("AMX", "AVX", "SSE41")),
)
X86 = ("x86_64", "amd64")


def use_onednn() -> None:
    """Turns oneDNN on for this process and its children if it pays; does nothing once TensorFlow is imported."""
    if "tensorflow" not in sys.modules and onednn_pays_here():
        os.environ[ONEDNN] = "1"


def onednn_pays_here(variables: Mapping[str, str] | None = None) -> bool:
    """Returns `onednn_pays` for this machine (default: with the variables of this process)."""
    given = os.environ if variables is None else variables
    return onednn_pays(platform.system(), platform.machine(), _flags_of_cpuinfo(), given)


def onednn_pays(system: str, machine: str, flags: frozenset[str], variables: Mapping[str, str]) -> bool:
    """Returns whether oneDNN should be turned on where TensorFlow leaves it off.

    Args:
        system: As `platform.system` names it.
        machine: As `platform.machine` names it.
        flags: The CPU's feature flags as Linux names them.
        variables: Environment variables. The user's own TF_ENABLE_ONEDNN_OPTS takes precedence, whatever its value.
    """
    if ONEDNN in variables or onednn_by_default(system, machine, flags):
        return False
    x86 = system == "Linux" and machine.lower() in X86
    return x86 and {"avx2", "fma"} <= flags and isa(flags, variables) not in ("avx", "sse4_1")


def onednn_by_default(system: str, machine: str, flags: frozenset[str]) -> bool:
    """Returns whether TensorFlow's wheels turn oneDNN on themselves on this x86 CPU; False on other processors."""
    x86 = machine.lower() in X86
    return x86 and (system == "Windows" or (system == "Linux" and bool(DEFAULT_FLAGS & flags)))


def onednn_said(on: bool, pays: bool, variable: str | None) -> str:
    """Returns a text for the screen: whether TensorFlow's CPU kernels are those of oneDNN, and why not.

    Args:
        on: Whether TensorFlow reports oneDNN.
        pays: The result of `onednn_pays_here`.
        variable: The value of TF_ENABLE_ONEDNN_OPTS, or None if it is not set.
    """
    if on:
        return "oneDNN on"
    if pays:
        return f"oneDNN off (TensorFlow was imported before kerascnn; {ONEDNN}=1 turns it on)"
    return "oneDNN off" if variable is None else f"oneDNN off ({ONEDNN}={variable})"


def onednn_has_bfloat16(flags: frozenset[str]) -> bool:
    """Returns whether TensorFlow uses oneDNN for bfloat16 on this CPU, not Eigen (tensorflow/core/util/util.cc)."""
    return bool({"avx512f", "avx_ne_convert"} & flags)


def isa(flags: frozenset[str], variables: Mapping[str, str]) -> str:
    """Returns the best instruction set that oneDNN may use, as Linux names it, or an empty text if the flags are unknown.

    Args:
        flags: The CPU's feature flags as Linux names them.
        variables: Environment variables. ONEDNN_MAX_CPU_ISA is an upper limit.
    """
    usable = flags - _hidden(variables)
    return next((flag for flag, _ in _ISAS if flag in usable), "")


def fuses_single_images(isa: str) -> bool:
    """Returns whether fusing a frozen normalization into oneDNN's convolution pays for a single image as well.

    With AVX2 kernels it does not: one 224 px image takes ResNet-50 1,025 ms fused and 97 ms in two ops, two images 146 and
    154 ms, sixteen 992 and 1,036 ms (2-core EPYC, Zen 3, TensorFlow 2.21, float32, 2026-11-28). With AVX-512 it does.

    Args:
        isa: As `isa` names it.
    """
    return isa.startswith(("avx512", "amx"))


def _hidden(variables: Mapping[str, str]) -> frozenset[str]:
    """Returns the flags above the limit; none if its value is unknown to oneDNN, which then ignores it."""
    ceiling = next((variables[name].upper() for name in ISA_CEILINGS if name in variables), "")
    above = frozenset(flag for flag, words in _ISAS if not any(word in ceiling for word in words))
    return above if len(above) < len(_ISAS) and not ceiling.startswith("AVX10") else frozenset()


def cpu_flags() -> frozenset[str]:
    """Returns the CPU's feature flags as Linux names them; none on other systems. `ONEDNN_MAX_CPU_ISA` may hide bfloat16
    units.
    """
    return _flags_of_cpuinfo() - _hidden(os.environ)


def cpu_name() -> str:
    """Returns the CPU's model as Linux names it, or the type of machine on other systems."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def available_cpus() -> int:
    """Returns the number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads(configured: int, variable: str, variables: Mapping[str, str], cpus: int) -> int:
    """Returns the size of a thread pool of TensorFlow: as configured, else from the variable, else one thread per CPU.

    Args:
        configured: The value of `tf.config.threading`; 0 if it is not set.
        variable: TF_NUM_INTRAOP_THREADS or TF_NUM_INTEROP_THREADS.
        variables: Environment variables.
        cpus: Number of CPUs that the process may use.
    """
    asked = variables.get(variable, "").strip()
    return configured or (int(asked) if asked.isdecimal() and int(asked) > 0 else cpus)


def _flags_of_cpuinfo() -> frozenset[str]:
    return frozenset(_cpuinfo("flags").split())


def _cpuinfo(key: str) -> str:
    """Returns the first value of `key` in /proc/cpuinfo, or an empty text."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return ""
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")
