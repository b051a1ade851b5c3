"""What a run keeps of its starts, and what it says when one differs from the start before."""

import json
from pathlib import Path

import pytest

from kerascnn.config import Devices
from kerascnn.devices import plan
from kerascnn.devices.kernels import onednn
from kerascnn.devices.plan import Hardware, decide
from kerascnn.runs import Run
from kerascnn.training import environment

PLAN = decide(Hardware(cpus=2), Devices(), 64)
BEFORE = {
    "tensorflow": "2.21.0",
    "cpu": "AMD EPYC",
    "onednn": True,
    "isa": "avx2",
    "threads": 2,
    "inter_op_threads": 2,
    "replicas": 1,
    "variables": {},
}


def test_a_start_under_another_setting_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, said = Run(tmp_path / "run"), []
    for _ in range(2):
        environment.note_environment(run, PLAN, said.append)
    assert said == []
    threads = json.loads(run.environment_file.read_text())[-1]["threads"]
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", str(threads + 5))
    other = not onednn()
    monkeypatch.setattr(plan, "onednn", lambda: other)
    environment.note_environment(run, PLAN, said.append)
    assert [line.split(" was ")[0] for line in said] == ["note: oneDNN", "note: threads"]
    assert f"threads was {threads} before, now {threads + 5}" in said[1]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("tensorflow", "2.22.0", "TensorFlow was 2.21.0 before, now 2.22.0"),
        ("cpu", "Intel Xeon", "CPU was AMD EPYC before, now Intel Xeon"),
        ("onednn", False, "oneDNN was on before, now off"),
        ("isa", "avx512bw", "oneDNN's instruction set was avx2 before, now avx512bw"),
        ("threads", 4, "threads was 2 before, now 4"),
        ("inter_op_threads", 1, "threads between operations was 2 before, now 1"),
        ("replicas", 2, "replicas was 1 before, now 2"),
        ("variables", {"TF_DETERMINISTIC_OPS": "1"}, "TF_DETERMINISTIC_OPS was not set before, now 1"),
    ],
)
def test_everything_that_decides_bits_is_compared(key, value, expected) -> None:
    (line,) = environment.changed(BEFORE, {**BEFORE, key: value})
    assert line == f"note: {expected}: not the same model to the last bit"
    assert environment.changed(BEFORE, {**BEFORE}) == []


def test_what_an_older_start_did_not_keep_is_not_compared() -> None:
    assert environment.changed({"threads": 2}, BEFORE) == []
