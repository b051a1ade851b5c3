"""`kerascnn fit` where a place cannot be used: one message, and a code that says whose turn it is."""

from pathlib import Path

import pytest

from kerascnn import cli, fit
from kerascnn.runs import Run

SMALL = ["--arch", "resnet9", "--width", "0.125", "--fraction", "0.02", "--no-export", "--run", "flowers"]


def test_runs_that_cannot_be_kept_are_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").touch()
    assert fit.main([*SMALL, "--runs-dir", str(tmp_path / "notes.txt")]) == cli.USER_ERROR
    assert capsys.readouterr().err.startswith(
        f"kerascnn: {tmp_path / 'notes.txt' / 'flowers'}: Not a directory: choose"
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_stops_what_goes_on_later(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "flowers").mkdir()
    (tmp_path / "flowers" / "log.txt").symlink_to("/dev/full")
    assert fit.main([*SMALL, "--runs-dir", str(tmp_path)]) == cli.STOPPED
    err = capsys.readouterr().err
    assert "No space left on device: make room there; the same command goes on" in err
    assert "Traceback" not in err
    assert Run(tmp_path / "flowers").config_file.exists()
    assert not Run(tmp_path / "flowers").trained
