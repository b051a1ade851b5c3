"""Every kind of verdict, word by word."""

import re
from dataclasses import replace

import pytest
from scipy import stats

from kerascnn.comparison.verdict import MetricUnit, Side, judge
from kerascnn.statistics import Difference

ACCURACY = MetricUnit("accuracy", 1, True, "test")
CHEAP = Side("resnet20", (2.0, 2.1, 1.9, 2.0, 2.0), 40)
DEAR = Side("inception_small", (2.8, 2.9, 2.7, 2.8, 2.8), 40)


def difference(value, half, seeds=5, seeds_share=0.1):
    """A difference with this interval, most of whose variance comes from images."""
    freedom = 200.0
    variance = (half / stats.t.ppf(0.975, freedom)) ** 2
    left = 0.1 * variance
    parts = {
        "images_part": (1 - seeds_share) * variance + left,
        "seeds_part": seeds_share * variance,
        "left_part": left,
    }
    over = "images and seeds" if seeds >= 3 else "images"
    return Difference(value, value - half, value + half, 0.95, 1000, seeds, over, variance**0.5, freedom, **parts)


@pytest.mark.parametrize(
    ("value", "half", "seen", "decision", "take"),
    [
        (0.002, 0.005, "no difference was seen between resnet20 and inception_small: +0.2 [-0.3, +0.7] points",
         "Within 1.0 points they are equal: take resnet20: 1.40 x [1.38, 1.42] cheaper at batch 1.", "resnet20"),
        (-0.03, 0.01, "resnet20 is 3.0 points better than inception_small [2.0, 4.0]",
         "Take resnet20: it is better, and 1.40 x [1.38, 1.42] cheaper at batch 1.", "resnet20"),
        (0.03, 0.01, "inception_small is 3.0 points better than resnet20 [2.0, 4.0]",
         "Take inception_small: it is at least 2.0 points better, though resnet20 is 1.40 x [1.38, 1.42] cheaper at batch 1.",
         "inception_small"),
        (-0.01, 0.015, "no difference was seen",
         "Take resnet20: 1.40 x [1.38, 1.42] cheaper at batch 1, and at worst 0.5 points behind inception_small.", "resnet20"),
    ],
)  # fmt: skip
def test_decisions(value, half, seen, decision, take):
    found = judge(CHEAP, DEAR, difference(value, half), ACCURACY, margin=0.01)
    assert found.seen.startswith("test accuracy: ")
    assert seen in found.seen
    assert "(95 %; 5 seeds, 1,000 test images; images and seeds resampled)" in found.seen
    assert (found.decision, found.take) == (decision, take)


def test_order_does_not_matter():
    found = judge(DEAR, CHEAP, difference(-0.03, 0.01), ACCURACY, margin=0.01)
    assert "inception_small is 3.0 points better than resnet20 [2.0, 4.0]" in found.seen
    assert found.take == "inception_small"


def test_undecided_says_what_it_would_take():
    found = judge(CHEAP, DEAR, difference(0.025, 0.026, seeds_share=0.01), ACCURACY, margin=0.01)
    assert found.take is None
    assert found.decision.startswith(
        "Whether inception_small is 1.0 points ahead of resnet20, which is 1.40 x [1.38, 1.42] cheaper at batch 1, these"
        " runs cannot tell;"
    )
    assert re.search(r"it would take about [\d,]+ test images with these seeds to tell in 80 of 100", found.decision)
    assert re.search(r"if the true difference is the one seen \(these would in \d+\)", found.decision)
    assert "each further look adds to the chance of a false verdict" in found.decision
    better = judge(CHEAP, DEAR, difference(0.015, 0.012), ACCURACY, margin=0.01)
    assert better.decision.startswith("inception_small is better; whether it is 1.0 points ahead of resnet20, which is")
    seeds = judge(CHEAP, DEAR, difference(0.03, 0.025, seeds_share=0.8), ACCURACY, margin=0.01)
    assert re.search(r"it would take about \d+ seeds on these images", seeds.decision)
    both = judge(CHEAP, DEAR, difference(0.03, 0.028, seeds_share=0.4), ACCURACY, margin=0.01)
    assert re.search(r"it would take about \d+ seeds and [\d,]+ test images", both.decision)


def test_what_it_would_take_counts_from_the_margin():
    """0.5 points ahead or 2.5 behind: the cheaper arch is 1.5 points from where a margin of 1 decides, either way."""
    ahead, behind = (judge(CHEAP, DEAR, difference(v, 0.02), ACCURACY, margin=0.01) for v in (-0.005, 0.025))
    assert (ahead.take, behind.take) == (None, None)
    assert ahead.decision.partition("; it would")[2] == behind.decision.partition("; it would")[2] != ""


def test_val_images_are_called_so():
    """What it takes to tell is counted in images of the split that was scored."""
    unit = replace(ACCURACY, split="val")
    tried = [(0.015, 0.02, 0.1), (0.03, 0.03, 0.5), (0.03, 0.06, 0.9)]
    for value, half, seeds_share in tried:
        found = judge(CHEAP, DEAR, difference(value, half, seeds_share=seeds_share), unit, margin=0.01)
        assert "seeds, 1,000 val images; images and seeds resampled" in found.seen
        assert found.seen.startswith("val accuracy: ")
        assert "val images" in found.decision
        assert "test" not in found.seen + found.decision


def test_few_seeds_and_a_comparison_cut_short_are_said():
    found = judge(CHEAP, DEAR, difference(0.03, 0.01, seeds=2), ACCURACY, margin=0.01, planned_seeds=5)
    assert "2 of 5 seeds" in found.seen
    assert "images alone resampled: under 3 seeds their spread is not known" in found.seen
    assert "3 seeds or more would say it of the archs" in found.decision


@pytest.mark.parametrize(
    ("latencies", "alike"),
    [
        ((2.02, 2.08, 1.93, 2.0, 2.01), True),  # a few per cent
        ((2.8, 1.7, 2.9, 1.9, 2.2), True),  # 1.13 x, and other processes say the contrary
        ((2.2, 2.3, 2.1, 2.2, 2.2), False),
    ],
)
def test_costs_are_alike_while_the_interval_of_their_ratio_holds_1(latencies, alike):
    """What one process says of a latency is no cost: the arch ahead is taken unless several processes agree."""
    found = judge(CHEAP, replace(DEAR, latencies=latencies), difference(0.004, 0.012), ACCURACY, margin=0.01)
    assert found.take == ("inception_small" if alike else None)
    assert ("as cheap at batch 1 (" in found.decision) == alike
    assert re.search(r"1\.\d\d x \[\d\.\d\d, 1\.\d\d\]", found.decision)


def test_one_process_s_latency_decides_nothing():
    """Then multiply-adds do, which are counted."""
    one, other = Side("a", (2.8,), 50), Side("b", (3.9,), 40)
    found = judge(one, other, difference(0.0, 0.005), ACCURACY, margin=0.01)
    assert "take b: 1.2 x cheaper in MACs" in found.decision


def test_loss_is_better_when_smaller():
    found = judge(CHEAP, DEAR, difference(-0.2, 0.05), MetricUnit("log loss", -1, False, "test"), margin=0.01)
    assert "inception_small is 0.200 better than resnet20 [0.150, 0.250]" in found.seen
    assert found.take == "inception_small"


def test_without_latency_macs_decide():
    found = judge(Side("a", (), 10), Side("b", (), 30), difference(0.0, 0.005), ACCURACY, margin=0.01)
    assert "take a: 3.0 x cheaper in MACs" in found.decision


def test_power():
    found = judge(CHEAP, DEAR, difference(0.0, 0.01), ACCURACY, margin=0.01)
    assert found.power.startswith("5 seeds and 1,000 images see a true difference of 1.4 points in 80 of 100")
