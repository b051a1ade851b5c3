"""Score against multiply-adds: what nothing cheaper beats, and a picture that hides no point."""

import pytest

from kerascnn.report import cost_front, drawing
from kerascnn.report.cost_front import CostPoint


def test_the_unbeaten_are_better_than_all_that_is_cheaper() -> None:
    points = [CostPoint("c", m, s, False) for m, s in ((3, 0.5), (1, 0.4), (2, 0.3), (1, 0.2))]
    assert [(point.macs, point.score) for point in cost_front.unbeaten(points, "max")] == [(1, 0.4), (3, 0.5)]
    assert [(point.macs, point.score) for point in cost_front.unbeaten(points, "min")] == [(1, 0.2)]


@pytest.mark.parametrize("families", [1, 2])
def test_the_legend_covers_no_candidate_and_not_the_baseline(families: int) -> None:
    """Wherever the points lie: it stands above the axis."""
    found = {
        family: [CostPoint("a", 1e6, 0.5, False), CostPoint("b", 8e6, 0.5, True), CostPoint("c", 8e6, 0.9, False)]
        for family in ("inception", "resnet")[:families]
    }
    figure = drawing.bare(cost_front.picture(found, "val_accuracy", "max"))
    with drawing.style():
        figure.draw_without_rendering()
    (legend,) = figure.legends
    assert legend.get_window_extent().y0 >= figure.axes[0].get_window_extent().y1
