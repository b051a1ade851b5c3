"""Settings that are found before a run is named."""

import json
from pathlib import Path

import numpy as np
import pytest

from kerascnn.__main__ import main
from kerascnn.runs import Run
from kerascnn.training import found_settings, range_test


@pytest.mark.parametrize(
    ("kind", "speeds", "expected"),
    [
        ("cpu", {16: 100, 32: 150, 64: 155, 128: 300}, 32),  # 64 is not 5 % faster, and ends the search
        ("cpu", {16: 100, 32: 90}, 16),
        ("gpu", {16: 100, 32: 90, 64: 80, 128: None}, 64),
        ("gpu", {16: None}, None),
        ("cpu", {16: 100, 32: None}, 16),
    ],
)
def test_the_batch_size_by_measured_speeds(kind: str, speeds: dict, expected: int | None) -> None:
    assert found_settings.choose_batch_size(kind, iter(speeds), speeds.__getitem__) == expected


def test_sizes_divide_over_the_replicas() -> None:
    assert list(found_settings.sizes(1, 100)) == [16, 32, 64]
    assert list(found_settings.sizes(4, 64)) == [16, 32, 64]
    assert list(found_settings.sizes(3, 200)) == [48, 96, 192]


@pytest.mark.parametrize(("budget", "expected"), [(100, 9), (99.9, 8), (15, 0), (5, 0)])
def test_whole_epochs_fit(budget: float, expected: int) -> None:
    assert found_settings.fitting(budget, epoch=10.0, around=10.0) == expected


def test_the_suggestion_is_a_tenth_of_the_smallest_loss() -> None:
    rates = np.geomspace(1e-4, 10, 101)
    losses = 1 + (np.log10(rates) + 1) ** 2  # smallest at 0.1; the mean over steps lags behind by some steps
    curve = range_test.LearningRateCurve.of(rates.tolist(), losses.tolist())
    assert 0.01 <= curve.suggested <= 0.03
    assert range_test.smoothed([2.0, 2.0, 2.0]) == pytest.approx([2.0] * 3)
    assert range_test.picture(curve).startswith(b"\x89PNG")


TINY = ("--arch", "resnet20", "--width", "0.25", "--blocks", "1", "1", "1", "--fraction", "0.025")
FIT = ("fit", *TINY, "--no-export", "--optimizer", "sgd", "--devices", "cpu:1", "--dtype", "float32")


@pytest.mark.slow
@pytest.mark.training
def test_what_was_found_is_in_the_config_and_found_again(tmp_path: Path, capsys) -> None:
    """The same command later continues the same run: nothing is measured again."""
    words = ("--lr", "find", "--batch-size", "auto", "--epochs", "auto", "--budget", "5h", "--stop-epoch", "1")
    assert main([*FIT, *words, "--runs-dir", str(tmp_path)]) == 0
    assert "found   earlier" not in capsys.readouterr().out
    (run,) = (Run(file.parent) for file in tmp_path.glob("*/config.toml"))
    config = run.config()
    (found,) = (tmp_path / ".found").glob("*.json")
    kept = json.loads(found.read_text())
    assert kept == {"batch_size": config.fit.batch_size, "lr": config.optim.lr, "epochs": config.fit.epochs}
    assert config.fit.epochs is not None
    assert config.fit.epochs > 12  # the default, of seconds
    assert len(list((tmp_path / ".found").glob("*.png"))) == 1
    assert main([*FIT, *words, "--runs-dir", str(tmp_path)]) == 0
    assert "found   earlier" in capsys.readouterr().out
    assert len(list(tmp_path.glob("*/config.toml"))) == 1


@pytest.mark.slow
@pytest.mark.training
def test_a_search_for_the_rate_trains_nothing(tmp_path: Path) -> None:
    """A run with the rate that was found is that of the same number typed."""
    ends = ("--epochs", "1", "--batch-size", "16", "--runs-dir", str(tmp_path))
    assert main([*FIT, *ends, "--lr", "find", "--run", "found"]) == 0
    lr = Run(tmp_path / "found").config().optim.lr
    assert main([*FIT, *ends, "--lr", str(lr), "--run", "typed"]) == 0
    rows = [Run(tmp_path / name).history()[0] for name in ("found", "typed")]
    for name in ("loss", "val_loss"):
        assert rows[0][name] == rows[1][name]
