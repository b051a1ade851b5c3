"""The choice of TensorFlow's CPU kernels is a table; TensorFlow's own rule is asked as well."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kerascnn.devices import hardware
from kerascnn.devices.hardware import ONEDNN, onednn_by_default, onednn_pays, onednn_said

ZEN3 = frozenset({"avx2", "fma", "avx", "sse4_1"})
CASCADE_LAKE = ZEN3 | {"avx512f", "avx512bw", "avx512_vnni"}


@pytest.mark.parametrize(
    ("system", "machine", "flags", "variables", "expected"),
    [
        ("Linux", "x86_64", ZEN3, {}, True),
        ("Linux", "AMD64", ZEN3, {}, True),
        ("Linux", "x86_64", ZEN3 | {"avx512f", "avx512bw"}, {}, True),  # Skylake-X: AVX-512, none of the newer units
        # The user's own variable wins, whatever its value.
        ("Linux", "x86_64", ZEN3, {ONEDNN: "0"}, False),
        ("Linux", "x86_64", ZEN3, {ONEDNN: "1"}, False),
        ("Linux", "x86_64", ZEN3, {ONEDNN: ""}, False),
        # TensorFlow turns it on by itself.
        *(("Linux", "x86_64", ZEN3 | {unit}, {}, False) for unit in sorted(hardware.DEFAULT_FLAGS)),
        ("Windows", "AMD64", ZEN3, {}, False),
        # Not measured, or no oneDNN in TensorFlow's wheels.
        ("Linux", "x86_64", frozenset({"avx", "sse4_1"}), {}, False),
        ("Linux", "x86_64", frozenset(), {}, False),
        ("Linux", "aarch64", frozenset({"asimd"}), {}, False),
        ("Darwin", "arm64", frozenset(), {}, False),
        ("Darwin", "x86_64", frozenset(), {}, False),
        # oneDNN may be kept from AVX2.
        ("Linux", "x86_64", ZEN3, {"ONEDNN_MAX_CPU_ISA": "SSE41"}, False),
        ("Linux", "x86_64", ZEN3, {"DNNL_MAX_CPU_ISA": "avx"}, False),
        ("Linux", "x86_64", ZEN3, {"ONEDNN_MAX_CPU_ISA": "AVX2"}, True),
        ("Linux", "x86_64", ZEN3, {"ONEDNN_MAX_CPU_ISA": "nonsense"}, True),  # oneDNN ignores it
    ],
)
def test_where_onednn_is_turned_on(system, machine, flags, variables, expected) -> None:
    assert onednn_pays(system, machine, flags, variables) == expected


@pytest.mark.parametrize(
    ("ceiling", "expected"),
    [
        ("", "amx_bf16"),
        ("ALL", "amx_bf16"),
        ("AVX512_CORE_AMX", "amx_bf16"),
        ("AVX512_CORE_FP16", "avx512_fp16"),
        ("AVX512_CORE_BF16", "avx512_bf16"),
        ("AVX512_CORE_VNNI", "avx512_vnni"),
        ("avx512_core", "avx512bw"),
        ("AVX2_VNNI", "avx_vnni"),
        ("AVX2", "avx2"),
        ("AVX", "avx"),
        ("SSE41", "sse4_1"),
    ],
)
def test_a_ceiling_hides_instruction_sets(ceiling, expected) -> None:
    sapphire_rapids = CASCADE_LAKE | {"avx512_bf16", "avx512_fp16", "avx_vnni", "amx_bf16"}
    assert hardware.isa(sapphire_rapids, {"ONEDNN_MAX_CPU_ISA": ceiling} if ceiling else {}) == expected


def test_what_is_said() -> None:
    assert onednn_said(True, False, "1") == "oneDNN on"
    assert "before kerascnn" in onednn_said(False, True, None)
    assert f"{ONEDNN}=0" in onednn_said(False, False, "0")
    assert onednn_said(False, False, None) == "oneDNN off"


def in_child(code: str, **variables: str) -> dict:
    """What `code` prints as JSON in a fresh process without this one's choice of kernels."""
    mine = {name: value for name, value in os.environ.items() if name not in (ONEDNN, "TF_NUM_INTRAOP_THREADS")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env={**mine, **variables}, capture_output=True, text=True, check=True)
    return {**json.loads(done.stdout.splitlines()[-1]), "stderr": done.stderr}


# TensorFlow first, so that nothing of ours decides; then what a layer of ours says of it.
TENSORFLOW_FIRST = """
import json, platform, sys
import tensorflow
import kerascnn.layers, keras, numpy
from kerascnn.compat.tensorflow import onednn_on
from kerascnn.devices import hardware, plan
layer = kerascnn.layers.Conv2D(4, 3)
for _ in range(2):
    layer(numpy.ones((1, 8, 8, 3), "float32"))
flags = hardware._flags_of_cpuinfo()
rule = hardware.onednn_by_default(platform.system(), platform.machine(), flags)
said = plan.inspect_hardware().onednn
print(json.dumps({"on": onednn_on(), "rule": rule, "pays": hardware.onednn_pays_here(), "said": said}))
"""
OURS_FIRST = """
import json, os, pathlib
import kerascnn, tensorflow as tf
from kerascnn.devices import plan
from kerascnn.devices.kernels import onednn

def names():
    tasks = pathlib.Path("/proc/self/task")
    return [task.joinpath("comm").read_text().strip() for task in tasks.iterdir()] if tasks.is_dir() else []

tf.linalg.matmul(tf.ones((300, 300)), tf.ones((300, 300)))
threads = {"all": len(names()), "between": names().count("tf_Compute"), **plan.kernels()}
print(json.dumps({"on": onednn(), "said": plan.inspect_hardware().onednn, **threads}))
"""
X86_LINUX = pytest.mark.skipif(
    not (sys.platform == "linux" and os.uname().machine == "x86_64"), reason="the rule is x86 Linux's"
)


@pytest.mark.training
@X86_LINUX
def test_the_rule_is_tensorflows_and_a_late_import_is_told_once() -> None:
    found = in_child(TENSORFLOW_FIRST)
    assert found["on"] == found["rule"]
    assert found["stderr"].count("TensorFlow was imported before kerascnn") == found["pays"]
    assert ("before kerascnn" in found["said"]) == found["pays"]


@pytest.fixture(scope="module")
def usual() -> dict:
    """What the package finds in a process of its own."""
    return in_child(OURS_FIRST)


@pytest.fixture(scope="module")
def other(usual: dict) -> dict:
    """The same with the user's own choices: no oneDNN, three threads more within an operation, five between them."""
    threads = {"TF_NUM_INTRAOP_THREADS": str(usual["threads"] + 3), "TF_NUM_INTEROP_THREADS": "5"}
    return in_child(OURS_FIRST, **{ONEDNN: "0"}, **threads)


@pytest.mark.training
@X86_LINUX
def test_the_package_turns_onednn_on(usual: dict, other: dict) -> None:
    if "avx2" not in hardware.cpu_flags():
        pytest.skip("no AVX2 here")
    assert (usual["on"], usual["said"]) == (True, "oneDNN on")
    assert (other["on"], other["said"]) == (False, f"oneDNN off ({ONEDNN}=0)")


@pytest.mark.training
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in Linux's /proc")
def test_threads_are_those_that_tensorflow_starts(usual: dict, other: dict) -> None:
    assert usual["threads"] == hardware.available_cpus()
    assert other["threads"] - usual["threads"] == 3
    assert usual["between"] == usual["inter_op_threads"]
    assert other["between"] == other["inter_op_threads"] == 5
    assert other["all"] - other["between"] == usual["all"] - usual["between"] + 3


@pytest.mark.parametrize(
    ("configured", "variable", "expected"),
    [(0, None, 2), (0, "7", 7), (3, "7", 3), (0, "0", 2), (0, "-1", 2), (0, "x", 2)],
)
def test_threads_by_program_variable_and_cpus(configured, variable, expected) -> None:
    variables = {} if variable is None else {"N": variable}
    assert hardware.threads(configured, "N", variables, cpus=2) == expected


def test_the_default_rule_claims_nothing_of_other_processors() -> None:
    assert not onednn_by_default("Linux", "aarch64", frozenset())
    assert onednn_by_default("Linux", "x86_64", frozenset({"avx_vnni"}))


@pytest.mark.parametrize(
    ("isa", "pays"), [("avx2", False), ("avx_vnni", False), ("", False), ("avx512bw", True), ("amx_bf16", True)]
)
def test_normalizations_of_single_images_are_fused_with_avx512_only(isa, pays) -> None:
    assert hardware.fuses_single_images(isa) == pays
