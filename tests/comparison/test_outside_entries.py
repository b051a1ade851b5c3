"""`compare --predictions`: other programs alone and beside runs."""

import csv
import re

import numpy as np
import pytest

from kerascnn.cli.screen import Screen
from kerascnn.compare import main
from kerascnn.comparison import comparison_page, finished, outside_entries
from kerascnn.comparison.compare_config import Compare
from kerascnn.comparison.conclude import conclude
from kerascnn.comparison.entry import Entry
from kerascnn.comparison.verdict import MetricUnit, Side, judge
from kerascnn.statistics import two_way
from kerascnn.studies.measured_cost import Cost
from tests.comparison.make_runs import NAMES
from tests.comparison.make_runs import finished as finished_run


def table(path, accuracy, seed, classes_only=False):
    """Predictions for the images of `make_runs`."""
    rng = np.random.default_rng(100 + seed)
    labels = np.arange(200) % 3
    predicted = np.where(rng.random(200) < accuracy, labels, (labels + 1) % 3)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "label", "class"] if classes_only else ["id", "label", *NAMES])
        for i, (label, answer) in enumerate(zip(labels, predicted, strict=True)):
            shares = [NAMES[answer]] if classes_only else (0.8 * (np.arange(3) == answer) + 0.2 / 3).tolist()
            writer.writerow([f"pets/image{i}", NAMES[label], *shares])
    return str(path)


def test_two_programs_get_the_same_report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    files = [f"good={table(tmp_path / f'g{s}.csv', 0.95, s)}" for s in range(3)]
    files += [f"poor={table(tmp_path / f'p{s}.csv', 0.6, s, classes_only=True)}" for s in range(3)]
    assert main(["--predictions", *files, "--name", "both"]) == 0
    said = capsys.readouterr().out
    assert re.search(
        r"good is \d+\.\d points better than poor \[.*3 seeds, 200 test images; images and seeds resampled", said
    )
    assert "Take good: it is better; what they cost is not known for both." in said
    folder = tmp_path / "experiments/comparisons/both"
    report = (folder / "report.html").read_text()
    assert "predicted class from class" in report
    assert "sha256" in report
    assert main(["--predictions", *files, "--name", "both"]) == 0
    assert main(["--predictions", *files, "--name", "both", "--metric", "loss"]) == 2
    assert (
        "--metric loss takes a probability of every class, and poor has only predicted classes"
        in capsys.readouterr().err
    )
    assert main(["--predictions", files[0]]) == 2
    assert "expected two systems, got one (good)" in capsys.readouterr().err


def test_a_program_beside_runs(tmp_path):
    for seed in (3, 4):
        finished_run(tmp_path / "runs", "resnet20", seed, 0.7)
    found = finished.gather([tmp_path / "runs"], least=1)
    files = tuple(f"timm={table(tmp_path / f'g{s}.csv', 0.95, s)}" for s in range(3))
    others = outside_entries.read(Compare(predictions=files), found, Screen())
    assert others.entries[0].seeds == (3, 4, 5)
    cost = Cost(1000, 2000, 100.0, 2.0, 2.5, 900.0, 70_000, 10**9, (2.0, 2.01, 1.99))
    entries = [Entry("resnet20", "", found.groups["resnet20"], cost), *others.entries]
    concluded = conclude(entries, Compare(), 3)
    assert concluded.verdicts[0].contrast.seeds == (3, 4)
    assert concluded.verdicts[0].verdict.take == "timm"
    page = comparison_page.page(concluded, "mixed", [])
    assert page.gallery is None
    assert dict(page.environment)["timm"].startswith("g0.csv, g1.csv, g2.csv: images from id")
    assert [curve.label for curve in page.curves] == ["resnet20"]


@pytest.mark.parametrize(
    ("shift", "margin", "said"),
    [
        (0.2, 0.05, "Take B: it is better; what they cost is not known for both."),
        (0.0, 0.05, "Within 5.0 points they are equal; what they cost is not known for both, and would decide."),
        (0.010, 0.005, "Take B: at worst 0.2 points behind A; what"),
    ],
)
def test_a_verdict_without_costs(shift, margin, said):
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.4, (5, 2000)) - 0.001
    noise += shift - noise.mean()
    difference = two_way(lambda index: noise[:, index].mean(axis=2).T, images=2000, seeds=5, rounds=200)
    unit = MetricUnit("accuracy", 1, points=True, split="test")
    assert judge(Side("A", (), None), Side("B", (), 10), difference, unit, margin).decision.startswith(said)
