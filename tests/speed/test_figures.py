"""Summaries, ratios and rows as numbers that can be checked by hand."""

import csv
import json

import pytest

from kerascnn.errors import UserError
from kerascnn.speed import figures
from kerascnn.speed.figures import FAST, STOCK, Figures

FACTS = {"image_size": 32, "batch_size": 64, "policy": "float32", "params": 10, "macs": 100, "throughput_batch": 8}
HERE = {"device": "one machine, 2 cores", "date": "2026-01-01"}


def made(form: str, **rounds: list[float]) -> Figures:
    return Figures("resnet20", form, FACTS, rounds)


def test_ratios_are_taken_round_by_round():
    # A machine that halves its speed in the second round halves both.
    fast = made(FAST, train=[200, 100, 210], latency_p50=[1, 2, 1], memory=[50])
    stock = made(STOCK, train=[100, 50, 100], latency_p50=[2, 4, 2], memory=[100])
    found = figures.ratios(fast, stock)
    assert found["train"] == pytest.approx((2.0, 2.0, 2.05))
    assert found["latency_p50"] == (2, 2, 2)  # half the time is twice as good
    assert found["memory"] == (2, 2, 2)


def test_a_table_has_median_and_quartiles_and_the_ratio():
    shown = "\n".join(figures.lines([made(FAST, train=[100, 200, 300]), made(STOCK, train=[50, 100, 150])]))
    assert "resnet20, 32 px, batch 64, float32" in shown
    assert "200 [150, 250] images/s" in shown
    assert "100 [75.0, 125] images/s" in shown
    assert "2.00 x [2.00, 2.00]" in shown


def test_rows_hold_what_the_table_shows():
    text = figures.as_json([made(FAST, train=[100, 200, 300])], HERE)
    row = json.loads(text)
    assert (row["train"], row["train_q1"], row["train_q3"], row["device"]) == (200, 150, 250, HERE["device"])
    assert row["rounds"]["train"] == [100, 200, 300]
    header, line = figures.as_csv([made(FAST, train=[100, 200, 300])], HERE).splitlines()
    assert dict(zip(header.split(","), next(csv.reader([line])), strict=True))["train"] == "200.0"


def test_figures_of_different_devices_are_refused(tmp_path):
    kept = tmp_path / "before.json"
    kept.write_text(figures.as_json([made(FAST, train=[100.0])], HERE))
    now = [made(FAST, train=[150.0])]
    assert "1.50 x what it was" in "\n".join(figures.changes(now, HERE, figures.read(kept)))
    with pytest.raises(UserError, match="different devices"):
        figures.changes(now, {**HERE, "device": "another"}, figures.read(kept))
    other_size = Figures("resnet20", FAST, {**FACTS, "image_size": 64}, {"train": [1.0]})
    with pytest.raises(UserError, match="same image size"):
        figures.changes([other_size], HERE, figures.read(kept))


@pytest.mark.parametrize(
    "content", ["", "nonsense", '{"arch": 1}', "[1]", "[" * 100_000, "9" * 5000], ids=lambda text: text[:9]
)
def test_other_files_are_no_figures(tmp_path, content):
    path = tmp_path / "file"
    path.write_text(content)
    with pytest.raises(UserError, match="kerascnn benchmark --json"):
        figures.read(path)
    with pytest.raises(UserError, match="kerascnn benchmark --json"):
        figures.read(tmp_path / "missing")
