"""Scores beyond those of a training's end, without a network."""

import numpy as np

from kerascnn.evaluation import scores
from kerascnn.report import score_plots

NAMES = ("ant", "bee", "cat", "dog")


def test_curves_stand_under_their_own_names_where_a_class_is_passed_over() -> None:
    labels = np.array([0, 2, 0, 3, 2])  # no bees
    probabilities = np.random.default_rng(0).dirichlet(np.ones(4), 5)
    found = scores.curves(probabilities, labels)
    assert [c for c, _, _ in found["pr"]] == [c for c, _, _ in found["roc"]] == [0, 2, 3]
    figure = score_plots.ranking_curves(found, NAMES)
    for axis in figure.axes:
        assert [line.get_label() for line in axis.lines] == ["ant", "cat", "dog"]
    legends = figure.legends
    assert [text.get_text() for legend in legends for text in legend.get_texts()] == ["ant", "cat", "dog"]
