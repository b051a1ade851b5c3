"""Whether a process is forked is a table, and so is which environment variables forbid it."""

import pytest

from kerascnn.processes.choosing import Facts, may_fork, same_at_import


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Facts(), True),
        (Facts(threads=("phases",)), True),  # its lock is held during a fork
        (Facts(system="Darwin"), False),  # its libraries do not survive a fork
        (Facts(system="Windows"), False),
        (Facts(imported=False), False),  # a fork would save nothing
        (Facts(started=True), False),  # an op has run: its threads are lost in a fork
        (Facts(threads=("phases", "Thread-1")), False),
        (Facts(forkable_thread=False), False),
        (Facts(watchable=False), False),
    ],
)
def test_who_may_fork(facts: Facts, expected: bool) -> None:
    assert may_fork(facts) is expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({}, {}, True),
        ({"HOME": "/a"}, {"HOME": "/b"}, True),
        ({"TMPDIR": "/a", "TF_X": "1"}, {"TF_X": "1"}, True),
        ({}, {"TF_ENABLE_ONEDNN_OPTS": "0"}, False),
        ({"ONEDNN_MAX_CPU_ISA": "AVX2"}, {}, False),
        ({"OMP_NUM_THREADS": "1"}, {"OMP_NUM_THREADS": "2"}, False),
        ({}, {"CUDA_VISIBLE_DEVICES": "1"}, False),
        ({}, {"KERAS_BACKEND": "torch"}, False),
        ({}, {"PYTHONPATH": "/a"}, False),
        ({"LD_PRELOAD": "x.so"}, {}, False),
    ],
)
def test_what_is_read_at_import_must_agree(one: dict[str, str], other: dict[str, str], expected: bool) -> None:
    assert same_at_import(one, other) is expected
