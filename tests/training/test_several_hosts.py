"""One training on several hosts: killed, stopped, different and late workers. Equality of options: experiments/multi_host.py."""

import re
import signal
import time
from pathlib import Path

import keras
import numpy as np
import pytest

import kerascnn.layers  # noqa: F401 - best.keras names its classes
from kerascnn.runs import Run
from tests.training.hosts import Hosts

pytestmark = [pytest.mark.slow, pytest.mark.training]
EXACT = ("epoch", "lr", "loss", "accuracy", "val_loss", "val_accuracy", "val_macro_f1")
RESTLESS = ("--ema", "0.9", "--augment", "shift", "mixup", "--accumulate", "2", "--checkpoint-every", "2")


def trained(hosts: Hosts) -> tuple[list[np.ndarray], list[list[float]]]:
    run = Run(hosts.run)
    rows = [[row[name] for name in EXACT] for row in run.history()]
    return keras.models.load_model(run.best_model, compile=False).get_weights(), rows


def same(one: Hosts, other: Hosts) -> None:
    (weights, rows), (others, other_rows) = trained(one), trained(other)
    assert rows == other_rows
    for value, expected in zip(weights, others, strict=True):
        np.testing.assert_array_equal(value, expected)
    assert Run(one.run).metrics()["test"] == Run(other.run).metrics()["test"]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Hosts:
    hosts = Hosts(tmp_path_factory.mktemp("calm"), 2, RESTLESS)
    assert hosts.codes() == [0, 0], hosts.said()
    return hosts


def test_only_the_chief_writes(calm: Hosts) -> None:
    assert (calm.run / "metrics.json").exists()
    assert list((calm.folder / "host1").rglob("*")) == []


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_worker_ends_all_and_the_same_commands_continue_to_the_same_bits(
    tmp_path: Path, calm: Hosts, victim: int
) -> None:
    cut = Hosts(tmp_path, 2, RESTLESS)
    cut.when(lambda: (cut.run / "checkpoints" / "step-4").exists())
    cut.children[victim].send_signal(signal.SIGKILL)
    start = time.monotonic()
    codes = cut.codes()
    assert sorted(codes) == [-9, 75], cut.said()
    seconds = time.monotonic() - start
    assert seconds < 60
    print(f"worker {victim} was killed: the other ended after {seconds:.1f} s")
    assert re.search(rf"worker {victim} \(127\.0\.0\.1:\d+\) was lost", cut.said()[1 - victim])
    again = Hosts(tmp_path, 2, RESTLESS)
    assert again.codes() == [0, 0], again.said()
    assert "resuming after step" in again.said()[0]
    same(again, calm)


def test_a_signal_to_any_worker_stops_all_at_one_step(tmp_path: Path, calm: Hosts) -> None:
    cut = Hosts(tmp_path, 2, RESTLESS)
    cut.when(lambda: (cut.run / "checkpoints" / "step-2").exists())
    cut.children[1].send_signal(signal.SIGTERM)
    assert cut.codes() == [75, 75], cut.said()
    ends = [re.search(r"stopped by SIGTERM: step (\d+) is kept", text)[1] for text in cut.said()]
    assert ends[0] == ends[1]
    again = Hosts(tmp_path, 2, RESTLESS)
    assert again.codes() == [0, 0], again.said()
    same(again, calm)


@pytest.mark.parametrize(("own", "said"), [(["--lr", "0.03"], "optim.lr"), (["--val-fraction", "0.2"], "data.")])
def test_different_workers_end_with_one_message(tmp_path: Path, own: list[str], said: str) -> None:
    hosts = Hosts(tmp_path, 2, own={1: own})
    assert hosts.codes() == [2, 2], hosts.said()
    last = [text[text.index("kerascnn: the workers of one training need the same") :] for text in hosts.said()]
    assert last[0] == last[1]
    assert said in last[0]
    assert not hosts.run.exists()


def test_a_mistake_of_one_worker_is_told_by_all(tmp_path: Path) -> None:
    hosts = Hosts(tmp_path, 2, own={1: ["--dataset", "nowhere"]})
    assert hosts.codes() == [2, 2], hosts.said()
    assert all("nowhere" in text for text in hosts.said())
    assert "worker 1 (127.0.0.1:" in hosts.said()[0]
