"""Each form is timed as itself."""

import contextlib

import pytest

from kerascnn import data, layers, training
from kerascnn.config import Config
from kerascnn.devices.plan import setup
from kerascnn.layers import norm
from kerascnn.speed import rounds
from kerascnn.speed.figures import FAST, STOCK
from kerascnn.studies.executors.local import LocalExecutor

pytestmark = pytest.mark.training

CONFIG = Config(model={"arch": "resnet20", "width": 0.125}, fit={"batch_size": 4}, data={"fraction": 0.02})


@pytest.mark.parametrize("form", [FAST, STOCK])
def test_everything_is_traced_in_its_form_before_the_first_round(form, monkeypatch) -> None:
    monkeypatch.setattr(rounds, "BATCHES", (1, 2))
    splits = data.load(CONFIG.data)
    plan = setup(CONFIG.devices, 4)
    asked = []
    decide = norm.fast
    monkeypatch.setattr(norm, "fast", lambda: asked.append(decide()) or asked[-1])
    subject = rounds.TimedNetwork(
        training.resolve(CONFIG, splits), form, splits, plan, ("train", "inference"), LocalExecutor()
    )
    assert asked[-1] is (form == FAST)  # the MACs of either were counted before
    asked.clear()
    with contextlib.nullcontext() if form == STOCK else layers.stock_paths():  # the other form, were anything left
        subject.round(0.001)
    assert not asked
    assert subject.figures.rounds["latency_p50"][0] > 0


def test_batches_that_were_ready_are_not_counted(monkeypatch) -> None:
    """A stream that is slower than its turn: what it had prepared before must not make it look faster."""
    splits = data.load(CONFIG.data)
    plan = setup(CONFIG.devices, 4)
    drawn = []
    monkeypatch.setattr(rounds, "training_data", lambda *_: (drawn.append(0) for _ in range(1000)))
    subject = rounds.TimedNetwork(training.resolve(CONFIG, splits), FAST, splits, plan, ("input",), LocalExecutor())
    for _ in range(2):
        drawn.clear()
        (part,) = subject.parts
        found = part(0.0)
        assert len(drawn) == rounds.READY + 2
        assert found["input"] > 0
