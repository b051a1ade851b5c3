"""The disk is measured where something will be written, and nothing stays there."""

from pathlib import Path

from kerascnn.diagnosis import disk
from kerascnn.diagnosis.facts import quota


def test_a_folder_that_does_not_exist_yet_is_measured_above_it(tmp_path: Path) -> None:
    (found,) = disk.measure({"runs": tmp_path / "experiments" / "runs"})
    assert found.error == ""
    assert found.free > 0
    assert found.written > 0
    assert found.read > 0
    assert abs(found.skew) < 60
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_says_why(tmp_path: Path) -> None:
    (found,) = disk.measure({"runs": Path("/proc/self")})
    assert found.error
    assert found.written == 0


def test_the_quota_of_a_container(tmp_path: Path) -> None:
    file = tmp_path / "cpu.max"
    assert quota(file) == float("inf")
    for text, cpus in (("max 100000\n", float("inf")), ("150000 100000\n", 1.5)):
        file.write_text(text)
        assert quota(file) == cpus
