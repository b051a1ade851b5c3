"""Several machines on paper: volumes as published, rings by their formula, and a page of what was measured."""

import pytest

from experiments.scaling import driver, page, rings
from experiments.scaling.rings import Link
from experiments.scaling.volume import volume


@pytest.mark.parametrize(
    ("arch", "trainable", "statistics", "norms"),
    [
        ("resnet20", 269_722, 1_376, 19),
        ("resnet50", 25_557_032, 53_120, 53),
        ("resnext50_32x4d", 25_028_904, 68_224, 53),
        ("resnet50_keras", 25_583_592, 53_120, 53),
        ("resnetv2_101", 44_541_480, 97_664, 100),
    ],
)
def test_volumes_are_those_of_the_published_networks(arch: str, trainable: int, statistics: int, norms: int) -> None:
    found = volume(arch)
    assert found == (trainable, statistics, norms)
    assert found.plain == 4 * (trainable + statistics)
    assert found.synchronized == 4 * (trainable + 2 * statistics + norms)


def test_a_ring_moves_nearly_twice_the_volume() -> None:
    slow = Link("slow", bits=8e6, latency=0.5)  # a megabyte a second
    assert rings.ring(3_000_000, 1, slow) == 0
    assert rings.ring(3_000_000, 2, slow) == 3 + 2 * 0.5
    assert rings.ring(3_000_000, 3, slow) == 4 + 4 * 0.5
    assert rings.ring(3_000_000, 3, slow, rounds=5) == 4 + 5 * 4 * 0.5


@pytest.mark.parametrize(
    ("reduction", "hidden", "bare"), [(0.0, 3.0, 3.0), (2.0, 3.0, 5.0), (5.0, 6.0, 8.0)], ids=["none", "fits", "longer"]
)
def test_a_reduction_hides_behind_the_backward_pass(reduction: float, hidden: float, bare: float) -> None:
    assert rings.step(3.0, reduction) == (hidden, bare)
    assert rings.efficiency(3.0, rings.step(3.0, reduction)) == (3 / bare, 3 / hidden)


def test_calls_below_the_folder_are_counted() -> None:
    said = """\
12 newfstatat(AT_FDCWD</work>, "/tmp/x/trials.csv", 0x7f, 0) = 0
12 openat(AT_FDCWD</work>, "/usr/lib/a.so", O_RDONLY) = 3
13 openat(AT_FDCWD</work>, "/tmp/x/trials/a/history.csv", O_RDONLY|O_CLOEXEC) = 3</tmp/x/trials/a/history.csv>
12 fsync(7</tmp/x/oracle/journal.jsonl>) = 0
12 +++ exited with 0 +++
"""
    assert driver.counted(said, "/tmp/x") == {"calls.newfstatat": 1, "calls.openat": 1, "calls.fsync": 1, "calls": 3}


def test_the_page_says_what_was_measured() -> None:
    search = {"trainings": 11.0, "cpu": 2.2, "cpu.last_tenth": 0.4, "megabytes.begin": 800.0, "megabytes.end": 810.0}
    rows = [
        {"unit": "reduce 2", "median.1": 0.007, "least.1": 0.005},
        {"unit": "reduce 3", "failed": "no such thing"},
        {"unit": "search 10 8 0", **search, "conclusion.cpu": 7.6},
        {"unit": "before search 10 8 0", **search, "cpu": 4.4, "conclusion.cpu": 7.6},
        {"unit": "search 10 8 0 calls", **search, "calls": 220.0, "calls.openat": 110.0, "calls.fsync": 11.0},
    ]
    text = page.text(rows)
    assert "| weak | 2 | 128 | 124 | 1.8" in text
    assert "| strong | 4 | 32 | 40 |" in text
    assert "| numbers | 2 processes |\n|--:|--:|\n| 1 | 7.0 (5.0) |" in text
    assert "| 10 | 8 | 200 | 400 | 800 to 810 | 8 s |" in text
    assert "| before: 10 | 8 | 400 | 400 | 800 to 810 | 8 s |" in text
    assert "| 10 | 8 | 0 | 20 | 1 | 10 | 9 |" in text
    assert page.text([]).count("| resnet50 |") == 1, "what is counted needs no measurement"
