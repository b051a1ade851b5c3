"""Soups of two short fine-tunings from one run."""

from pathlib import Path

import keras
import numpy as np
import pytest

from kerascnn.__main__ import main
from kerascnn.runs import Run

pytestmark = [pytest.mark.slow, pytest.mark.training]

TINY = ("--arch", "resnet20", "--width", "0.25", "--blocks", "1", "1", "1", "--fraction", "0.025", "--batch-size", "16")
FIT = ("fit", *TINY, "--epochs", "2", "--no-export", "--optimizer", "sgd", "--devices", "cpu:1", "--dtype", "float32")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that averages its last two epochs, and two that start from it."""
    folder = tmp_path_factory.mktemp("runs")
    assert main([*FIT, "--runs-dir", str(folder), "--run", "start", "--average-last", "2"]) == 0
    for seed in ("1", "2"):
        start = ("--weights", str(folder / "start"), "--seed", seed, "--lr", "0.02")
        assert main([*FIT, "--runs-dir", str(folder), "--run", f"seed{seed}", *start]) == 0
    return folder


def weights(run: Path) -> list[np.ndarray]:
    return keras.models.load_model(run / "best.keras", compile=False).get_weights()


def soup(runs: Path, *words: str) -> int:
    return main(["soup", *(str(runs / name) for name in ("seed1", "seed2")), "--runs-dir", str(runs), *words])


def test_a_uniform_soup_is_the_mean_with_statistics_of_its_own(runs: Path, capsys) -> None:
    assert soup(runs, "--name", "uniform") == 0
    shown = capsys.readouterr().out
    assert "seed1" in shown
    assert "test accuracy" in shown
    members = [keras.models.load_model(runs / name / "best.keras", compile=False) for name in ("seed1", "seed2")]
    made = keras.models.load_model(runs / "uniform" / "best.keras", compile=False)
    for one, two, mean in zip(*(network.trainable_variables for network in (*members, made)), strict=True):
        np.testing.assert_allclose(mean.numpy(), (one.numpy() + two.numpy()) / 2, rtol=1e-5, atol=1e-7)
    metrics = Run(runs / "uniform").metrics()
    assert metrics["soup"]["taken"] == ["seed1", "seed2"]
    assert metrics["test"]["accuracy"]["n"] == 1000
    assert soup(runs, "--name", "uniform") == 0
    assert "there already" in capsys.readouterr().out
    assert main(["evaluate", str(runs / "uniform"), "--split", "val"]) == 0
    assert main(["list", str(runs)]) == 0


def test_a_greedy_soup_is_no_worse_on_val_than_its_best_run(runs: Path) -> None:
    assert soup(runs, "--name", "greedy", "--greedy") == 0
    scores = {name: Run(runs / name).metrics()["val"]["accuracy"]["value"] for name in ("seed1", "seed2", "greedy")}
    assert scores["greedy"] >= max(scores["seed1"], scores["seed2"]) - 1e-9
    taken = Run(runs / "greedy").metrics()["soup"]["taken"]
    if len(taken) == 1:
        assert all(map(np.array_equal, weights(runs / taken[0]), weights(runs / "greedy")))


def test_the_average_of_the_last_epochs_is_what_is_kept(runs: Path) -> None:
    assert "average of the weights after epochs 1 to 2" in (runs / "start" / "log.txt").read_text()
    assert not list((runs / "start" / "checkpoints").glob("epoch-*"))
    metrics = Run(runs / "start").metrics()
    assert metrics["averaged_epochs"] == [1, 2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("seed1",), "expected at least 2 finished runs"),
        (("seed1", "seed1"), "each run once"),
        (("seed1", "nothing"), "there is no nothing"),
        ((), "which runs?"),
    ],
)
def test_mistakes(runs: Path, words: tuple[str, ...], message: str, capsys) -> None:
    assert main(["soup", *words, "--runs-dir", str(runs)]) == 2
    assert message in capsys.readouterr().err
