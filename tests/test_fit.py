"""`kerascnn fit` where a place cannot be used: one message, and a code that says whose turn it is."""

import shlex
from pathlib import Path

import pytest

from kerascnn import fit
from kerascnn.cli.parsing import OfData, parse_config
from kerascnn.errors import DONE, STOPPED, USER_ERROR
from kerascnn.runs import Run

SMALL = ["--arch", "resnet9", "--width", "0.125", "--fraction", "0.02", "--no-export", "--run", "flowers"]


def test_runs_that_cannot_be_kept_are_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").touch()
    assert fit.main([*SMALL, "--runs-dir", str(tmp_path / "notes.txt")]) == USER_ERROR
    assert capsys.readouterr().err.startswith(
        f"kerascnn: {tmp_path / 'notes.txt' / 'flowers'}: Not a directory: choose"
    )


@pytest.mark.training
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_stops_what_goes_on_later(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "flowers").mkdir()
    (tmp_path / "flowers" / "log.txt").symlink_to("/dev/full")
    assert fit.main([*SMALL, "--runs-dir", str(tmp_path)]) == STOPPED
    err = capsys.readouterr().err
    assert "No space left on device: make room there; the same command continues" in err
    assert "Traceback" not in err
    assert Run(tmp_path / "flowers").config_file.exists()
    assert not Run(tmp_path / "flowers").trained


@pytest.mark.training
def test_the_end_names_what_comes_next_in_the_log_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The page, evaluate, predict, and the other family with the same settings: commands that can be pasted."""
    runs_dir = str(tmp_path / "my runs")
    words = ["fashion_mnist_mini", "--arch", "resnet9", "--width", "0.125", "--fraction", "0.02", "--image-size", "16"]
    words += ["--epochs", "1", "--warmup", "0", "--augment", "flip", "cutout", "--no-export", "--runs-dir", runs_dir]
    assert fit.main([*words, "--run", "flowers"]) == DONE
    shown = capsys.readouterr().out.splitlines()
    run = Run(tmp_path / "my runs" / "flowers")
    logged = [line[21:] for line in run.log_file.read_text(encoding="utf-8").splitlines()]
    end = next(i for i, line in enumerate(shown) if line.startswith("test accuracy"))
    assert logged[-len(shown[end:]) :] == shown[end:]
    said = dict(line.split(": ", 1) for line in shown[end:] if ":  " in line)
    assert said["report"].strip() == str(run.report_file)
    assert shlex.split(said["scores"])[-1] == str(run.path)
    assert shlex.split(said["images"])[-2:] == [str(run.path), "IMAGE..."]
    following = shlex.split(said["next"])
    assert following[:3] == ["python", "-m", "kerascnn.fit"]
    asked, next_one = (
        parse_config(flags, prog="kerascnn fit", description="", schema=OfData).config
        for flags in (words, following[3:])
    )
    assert next_one == asked.replace(model={"arch": "inception", "width": 1.0})
    assert fit.main([*words, "--run", "flowers"]) == DONE
    assert "finished on" in capsys.readouterr().out
    assert len(run.log_file.read_text(encoding="utf-8").splitlines()) == len(logged), (
        "a finished run's log does not grow"
    )
