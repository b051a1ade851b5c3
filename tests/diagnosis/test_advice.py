"""What a machine is told to change: a table of machines and lines."""

from dataclasses import replace

import pytest

from kerascnn.diagnosis.advice import advise
from kerascnn.diagnosis.disk import Disk
from kerascnn.diagnosis.facts import MachineFacts, OneDnnWorth, TensorFlowFacts

GOOD = MachineFacts(
    versions={"keras": "3.15.1"},
    required={"keras": "<4,>=3.15"},
    cpus=4,
    isa="avx2",
    free=8 * 2**30,
    open_files=4096,
    disks=(Disk("runs", "", 50 * 2**30, 400e6, 900e6, 0.01),),
    year=2026,
    tensorflow=TensorFlowFacts(onednn=True, threads=4, inter_op_threads=4),
    worth=OneDnnWorth(200.0, 100.0),
)


def tensorflow(**changes: object) -> TensorFlowFacts:
    return replace(GOOD.tensorflow, **changes)


def disk(**changes: object) -> tuple[Disk, ...]:
    return (replace(GOOD.disks[0], **changes),)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, []),
        ({"worth": OneDnnWorth(error="no such file")}, []),
        ({"versions": {}}, ["keras is missing: pip install 'keras<4,>=3.15'"]),
        ({"versions": {"keras": "3.9.0"}}, ["keras 3.9.0 is not a tested version"]),
        ({"required": {}}, ["kerascnn is not installed, only imported"]),
        (
            {"tensorflow": TensorFlowFacts(error="no libtensorflow"), "worth": None},
            ["TensorFlow cannot be imported (no lib"],
        ),
        ({"nvidia": True}, ["TensorFlow sees no GPU beside the NVIDIA driver"]),
        ({"nvidia": True, "tensorflow": tensorflow(gpus=("T4 7.5",))}, []),
        (
            {"tensorflow": tensorflow(onednn=False), "onednn_off": True},
            ["is off; a training step is 2.00 times as fast"],
        ),
        (
            {"tensorflow": tensorflow(onednn=False), "worth": None, "onednn_pays": True},
            ["oneDNN is off: set TF_ENABLE_"],
        ),
        ({"tensorflow": tensorflow(onednn=False), "worth": OneDnnWorth(100.0, 99.0)}, []),
        ({"worth": OneDnnWorth(100.0, 150.0)}, ["1.50 times as fast without it: set TF_ENABLE_ONEDNN_OPTS=0"]),
        ({"limited": True}, ["limits the instruction sets of oneDNN to avx2"]),
        ({"quota": 1.5}, ["TensorFlow starts 4 threads for 2 CPUs: set TF_NUM_INTRAOP_THREADS=2"]),
        ({"tensorflow": tensorflow(threads=1)}, ["TensorFlow uses 1 of 4 CPUs"]),
        ({"free": 2**30}, ["1.0 GiB of memory are free"]),
        ({"open_files": 256}, ["this process may open 256 files: ulimit -n 1024"]),
        ({"disks": disk(error="Read-only file system")}, ["runs cannot be written (Read-only file system)"]),
        ({"disks": disk(free=2**30)}, ["1.0 GiB are free on that disk"]),
        ({"disks": disk(written=5e6)}, ["5 MB/s are written"]),
        ({"disks": disk(skew=-7.0)}, ["the clock of that file system is -7 s off"]),
        ({"year": 1970}, ["the clock says 1970"]),
    ],
)
def test_what_is_advised(changes: dict[str, object], told: list[str]) -> None:
    found = advise(replace(GOOD, **changes))
    assert len(found) == len(told), found
    for line, part in zip(found, told, strict=True):
        assert part in line
