"""`compare RUN ...`: who takes part, why the rest does not, and what is written."""

import csv
import re
import shlex
import sys

import numpy as np
import pytest

from kerascnn.cli.screen import Screen
from kerascnn.comparison import comparison_page, summary_lines
from kerascnn.comparison import finished as found
from kerascnn.comparison.compare_config import Compare
from kerascnn.comparison.comparison_directory import ComparisonDirectory
from kerascnn.comparison.conclude import conclude
from kerascnn.comparison.entry import Entry
from kerascnn.comparison.network_costs import PROCESSES, inference
from kerascnn.comparison.publish import publish
from kerascnn.errors import UserError
from kerascnn.studies.executors.local import LocalExecutor
from kerascnn.studies.measured_cost import Cost
from tests.comparison.make_runs import finished

COSTS = {
    "resnet20": Cost(1000, 2000, 100.0, 2.0, 2.5, 900.0, 70_000, 10**9, (2.0, 2.01, 1.99)),
    "inception_small": Cost(1200, 2010, 90.0, 2.8, 3.5, 800.0, 80_000, None, (2.8, 2.81, 2.8)),
}


@pytest.fixture
def runs(tmp_path):
    """Three seeds of two archs."""
    return [
        finished(tmp_path / "runs", arch, seed, accuracy)
        for arch, accuracy in (("resnet20", 0.7), ("inception_small", 0.9))
        for seed in range(3)
    ]


def test_groups_by_arch_and_seed(runs, tmp_path):
    gathered = found.gather([tmp_path / "runs"])
    assert {label: sorted(group) for label, group in gathered.groups.items()} == {
        "inception_small": [0, 1, 2],
        "resnet20": [0, 1, 2],
    }
    assert not [line for line in gathered.lines() if line.startswith("left")]


def test_a_run_on_its_way_out_takes_no_part(runs, tmp_path):
    runs[0].path.rename(tmp_path / "runs" / f".{runs[0].name}.4711.aside")
    assert sorted(found.gather([tmp_path / "runs"]).groups["resnet20"]) == [1, 2]


def test_the_rest_is_listed_with_its_state_by_val(runs, tmp_path):
    folder = tmp_path / "runs"
    unfinished = finished(folder, "resnet20", 8, 0.6)
    unfinished.metrics_file.unlink()
    other = finished(folder, "resnet20", 7, 0.95, fingerprint="0" * 64, names=("cat", "dog", "owl", "eel"))
    elsewhere = finished(folder, "resnet20", 6, 0.2, fingerprint="1" * 64)
    lines = [line for line in found.gather([folder]).lines() if line.startswith("left")]
    assert [line.split()[1].rstrip(":") for line in lines] == [other.name, unfinished.name, elsewhere.name]
    assert "other classes (4 against 3)" in lines[0]
    assert "unfinished, 2 of 2 epochs: python -m kerascnn.fit --config" in lines[1]
    assert "other data" in lines[2]


def test_one_arch_under_two_configs_is_told_apart(tmp_path):
    for lr in (0.1, 0.2):
        finished(tmp_path, "resnet20", 0, 0.7, lr=lr)
    assert set(found.gather([tmp_path]).groups) == {"resnet20 lr 0.1", "resnet20 lr 0.2"}


def test_nothing_to_compare(tmp_path):
    run = finished(tmp_path, "resnet20", 0, 0.7)
    with pytest.raises(UserError, match="finished runs of two archs on the same data, got 1"):
        found.gather([run.path])
    second = finished(tmp_path, "inception_small", 0, 0.7)
    second.metrics_file.unlink()
    with pytest.raises(UserError, match=f"(?s)got 1.*{second.name}: unfinished, 2 of 2 epochs"):
        found.gather([tmp_path])
    with pytest.raises(UserError, match="no such directory"):
        found.gather([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds none"):
        found.gather([tmp_path / "empty"])


def test_published(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/kerascnn", "compare", "my runs"])
    groups = found.gather([run.path for run in runs]).groups
    entries = [Entry(label, "", group, COSTS[label]) for label, group in groups.items()]
    directory = ComparisonDirectory(tmp_path / "comparison")
    publish(entries, Compare(), 5, directory, Screen())
    out = capsys.readouterr().out
    assert re.search(r"test accuracy: inception_small is [\d.]+ points better than resnet20 \[", out)
    assert "3 of 5 seeds, 200 test images; images and seeds resampled" in out
    assert "though resnet20 is 1.40 x [1.39, 1.41] cheaper at batch 1." in out
    assert out.count("seed 2: ") == 1
    rows = list(csv.DictReader(directory.table_file.read_text(encoding="utf-8").splitlines()))
    assert [row["arch"] for row in rows] == ["resnet20", "inception_small"]
    assert [row["peak memory"] for row in rows] == ["1000000000", ""]
    html = directory.report_file.read_text(encoding="utf-8")
    assert "points better than resnet20" in html
    assert len(html) < 1_000_000
    words = directory.markdown_file.read_text(encoding="utf-8")
    assert "3 of 5 seeds" in words
    assert "    kerascnn compare 'my runs'\n" in words
    assert f"    python -m kerascnn.fit --config {shlex.quote(str(runs[0].config_file))}\n" in words
    assert {file.stem for file in directory.tables.iterdir()} >= {"scores", "costs", "classes", "curves", "confusion"}


def test_best_against_best_is_val_s_choice(tmp_path):
    """Val prefers another learning rate for each arch; test would have chosen otherwise."""
    entries = []
    for arch, lr, accuracy in (("a", 0.1, 0.6), ("a", 0.2, 0.8), ("b", 0.1, 0.9), ("b", 0.2, 0.7)):
        group = {
            seed: finished(tmp_path, f"resnet{20 if arch == 'a' else 32}", seed, accuracy, lr=lr) for seed in (0, 1, 2)
        }
        choosing = {
            1000 + i: finished(tmp_path / "choosing", run.config().model.arch, 1000 + i, accuracy, lr=lr, split="val")
            for i, run in enumerate(list(group.values())[:2])
        }
        entries.append(Entry(arch, f"lr {lr:g}", group, COSTS["resnet20"], choosing))
    came_to = conclude(entries, Compare(lr_grid=(0.1, 0.2)), 3)
    assert [entry.label for entry in came_to.best] == ["a (lr 0.2)", "b (lr 0.1)"]
    assert len(came_to.table) == 2
    assert came_to.verdicts[0].verdict.take == "b (lr 0.1)"
    assert "a is" in came_to.table[1].verdict.seen


def test_fractions_speak_for_the_largest(tmp_path):
    entries = [
        Entry(arch, f"fraction {share:g}", {0: finished(tmp_path / f"{share}", arch, 0, accuracy)}, COSTS[arch])
        for share, accuracy in ((1.0, 0.9), (0.3, 0.6))
        for arch in COSTS
    ]
    came_to = conclude(entries, Compare(fractions=(1.0, 0.3)), 1)
    assert {entry.variant for entry in came_to.best} == {"fraction 1"}


def test_a_run_that_always_answers_one_class_is_named(tmp_path):
    entries = [
        Entry(arch, "", {s: finished(tmp_path, arch, s, 0.8) for s in (0, 1, 2)}, cost) for arch, cost in COSTS.items()
    ]
    stuck = entries[1].runs[1]
    kept = stuck.read_predictions("test")
    one = np.zeros_like(kept["probabilities"])
    one[:, 2] = 1
    stuck.write_predictions("test", ids=kept["ids"], labels=kept["labels"], probabilities=one)
    weak = finished(tmp_path, "inception_small", 2, 0.35).read_predictions("test")
    entries[1].runs[2].write_predictions("test", **weak)
    beside = conclude(entries, Compare(), 3).verdicts[0].beside
    assert beside == (
        "inception_small always answers owl: seed 1",
        "inception_small cannot be told from always answering the largest class (33.5%): seed 2",
    )


def test_two_seeds_are_shown_as_values_and_say_nothing_of_classes(tmp_path):
    """Student's interval over two seeds reached from -126 to 183 %."""
    entries = [
        Entry(arch, "", {s: finished(tmp_path, arch, s, accuracy) for s in (0, 1)}, cost)
        for (arch, cost), accuracy in zip(COSTS.items(), (0.5, 0.99), strict=True)
    ]
    came_to = conclude(entries, Compare(), 2)
    pair = came_to.verdicts[0]
    assert pair.contrast.over_seeds is None
    assert {one.p for one in pair.contrast.classes} == {None}
    said = "\n".join(summary_lines.lines(came_to))
    assert "not said under 3 seeds" in said
    assert re.search(r"difference by seed \(an interval over seeds takes 3\): seed 0: \+\d+\.\d\d, seed 1: ", said)
    assert re.search(r"resnet20 +\d\d\.\d\d, \d\d\.\d\d ", said)
    shown = comparison_page.page(came_to, "two", [])
    assert all(isinstance(row[2], str) for row in shown.scores.rows)
    for row in shown.classes.rows:
        assert "p " not in row.note
        assert all(0 <= value.low <= value.high <= 1 for value in row.values)


def test_groups_widen_the_verdict_s_interval(tmp_path):
    """Ten images of one patient are no ten patients; runs that were cut by --group-by say which belong together."""
    found = {}
    for pattern in (None, r"image\d+(?=\d$)"):
        entries = []
        for arch, cost in COSTS.items():
            group = {s: finished(tmp_path / str(pattern is None), arch, s, 0.8) for s in (0, 1, 2)}
            for run in group.values():
                run.write_config(run.config().replace(data={"group_by": pattern}))
                kept = run.read_predictions("test")
                same = np.random.default_rng(len(arch)).random(20) < 0.7  # by group of ten
                right = np.repeat(same, 10)
                answers = np.where(right, kept["labels"], (kept["labels"] + 1) % 3)
                run.write_predictions(
                    "test", ids=kept["ids"], labels=kept["labels"], probabilities=np.eye(3, dtype="float32")[answers]
                )
            entries.append(Entry(arch, "", group, cost))
        pair = conclude(entries, Compare(), 3).verdicts[0]
        found[pattern] = pair.contrast.difference
    alone, together = found.values()
    assert (alone.groups, together.groups) == (None, 20)
    assert together.error > 2 * alone.error
    assert "200 test images in 20 groups; groups of images and seeds resampled" in pair.verdict.seen


def test_many_archs_share_the_level(tmp_path):
    entries = [
        Entry(arch, "", {s: finished(tmp_path, arch, s, 0.8) for s in (0, 1, 2)}, COSTS["resnet20"])
        for arch in ("resnet20", "resnet32", "resnet44")
    ]
    came_to = conclude(entries, Compare(archs=("resnet20", "resnet32", "resnet44")), 3)
    assert [pair.contrast.difference.level for pair in came_to.verdicts] == [0.975, 0.975]
    assert "97.5 %" in came_to.verdicts[0].verdict.seen


def test_val_images_are_called_so(tmp_path):
    """A search's runs have read no test."""
    entries = [
        Entry(arch, "", {s: finished(tmp_path, arch, s, 0.8, split="val") for s in (0, 1)}, cost)
        for arch, cost in COSTS.items()
    ]
    seen = conclude(entries, Compare(), 2).verdicts[0].verdict.seen
    assert seen.startswith("val accuracy: ")
    assert "2 seeds, 200 val images" in seen


def test_many_configs_make_no_name_that_is_too_long(tmp_path):
    for lr in range(1, 21):
        finished(tmp_path / "runs", "resnet20", 0, 0.7, images=6, lr=lr / 64)
    gathered = found.gather([tmp_path / "runs"])
    assert len(gathered.groups) == 20
    assert re.fullmatch(r"resnet20-lr-0\.\d+_resnet20-lr-0\.\d+_.{,90}", gathered.name)
    ComparisonDirectory(tmp_path / gathered.name).path.mkdir()


def test_a_label_s_table_has_a_file_s_name(tmp_path):
    label = "resnet20 dataset a/b " + " ".join(f"field{i} {i}" for i in range(60))
    runs = {
        "inception_small": finished(tmp_path, "inception_small", 0, 0.7),
        label: finished(tmp_path, label[:8], 0, 0.8),
    }
    entries = [Entry(name, "", {0: run}, COSTS["resnet20"]) for name, run in runs.items()]
    name = comparison_page._pairs(conclude(entries, Compare(), 1).verdicts[0]).name
    assert re.fullmatch(r"pairs_resnet20 dataset a-b field0 0 [\w -]{,90}", name)


def test_top5_needs_more_classes(tmp_path, runs):
    groups = found.gather([tmp_path / "runs"]).groups
    entries = [Entry(label, "", group, COSTS[label]) for label, group in groups.items()]
    with pytest.raises(UserError, match="--metric top5 of 3 classes says nothing"):
        conclude(entries, Compare(metric="top5"), 3)


@pytest.mark.parametrize("cost", COSTS.values())
def test_comparison_toml_keeps_each_process_s_latency(tmp_path, cost):
    """Without them a comparison that is concluded again would rest on one timing."""
    directory = ComparisonDirectory(tmp_path)
    directory.keep("compare", {}, {"a": {"cost": cost.kept()}}, [])
    assert Cost.read(directory.solved({})["a"]) == cost


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_latency_is_measured_in_several_processes(tmp_path):
    config = finished(tmp_path, "resnet20", 0, 0.7, images=6).config().replace(model={"width": 0.25})
    found = inference([(config, ("cat", "dog", "owl"))] * 2, LocalExecutor())
    assert [len(one["latencies"]) for one in found] == [PROCESSES] * 2
    assert len(set(found[0]["latencies"])) > 1
    assert min(found[0]["latencies"]) <= found[0]["latency_p50"] <= max(found[0]["latencies"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "request = 3\ncells = 3",
        "[request]\n[cells]\na = 1",
        "[request]\n[cells.a]\n",
        "[request]\n[cells.a.cost]\nx = 1",
    ],
)
def test_a_damaged_comparison_is_a_message(tmp_path, text: str) -> None:
    directory = ComparisonDirectory(tmp_path)
    directory.terms_file.write_text(text)
    with pytest.raises(UserError, match=r"comparison\.toml is damaged"):
        Cost.read(directory.solved({})["a"])


def test_a_comparison_of_other_runs_is_not_overwritten(tmp_path):
    directory = ComparisonDirectory(tmp_path / "x")
    directory.keep("compare a b", {"runs": ["a", "b"]}, {"a": {"arch": "a", "cost": {"macs": 1}}}, ["a", "b"])
    assert directory.solved({"runs": ["a", "b"]})["a"]["cost"] == {"macs": 1}
    directory.log_file.touch()  # it was more than looked at
    with pytest.raises(UserError, match=r"exists on other terms:\n  runs: .*(?s:.*)another --name"):
        directory.solved({"runs": ["a", "c"]})
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / ".comparison.toml.4711.aside").touch()  # of a start that was killed
    assert ComparisonDirectory(tmp_path / "y").solved({}) == {}
    (tmp_path / "y" / "thesis.txt").touch()
    with pytest.raises(UserError, match="is not a comparison"):
        ComparisonDirectory(tmp_path / "y").solved({})
