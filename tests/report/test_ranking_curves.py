"""Precision-recall and ROC curves: a line for each class, or the spread of many."""

import numpy as np
import pytest

from kerascnn.report import drawing, ranking_curves

NAMES = ("ant", "bee", "cat", "dog")


def measured(classes, images=200):
    rng = np.random.default_rng(0)
    labels = np.arange(images) % classes
    logits = rng.normal(size=(images, classes)) + 2 * np.eye(classes)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return ranking_curves.measure("test", probabilities, labels, [f"class {c}" for c in range(classes)])


def test_curves_stand_under_their_own_names_where_a_class_is_passed_over() -> None:
    labels = np.array([0, 2, 0, 3, 2])  # no bees
    probabilities = np.random.default_rng(0).dirichlet(np.ones(4), 5)
    found = ranking_curves.measure("test", probabilities, labels, NAMES)
    assert [line.name for line in found.pr] == [line.name for line in found.roc] == ["ant", "cat", "dog"]
    for picture, lines in zip(ranking_curves.pictures(found), (found.pr, found.roc), strict=True):
        figure = drawing.bare(picture)
        (legend,) = figure.legends
        expected = [f"{line.name} {line.area:.3f}" for line in lines]
        assert [text.get_text() for text in legend.get_texts()] == expected
        for line, drawn in zip(lines, figure.axes[0].lines, strict=False):
            np.testing.assert_allclose(drawn.get_xydata(), np.stack([line.x, line.y], axis=1))


def test_few_classes_are_lines_and_many_their_spread() -> None:
    few, many = measured(3), measured(40)
    assert (few.classes, many.classes, len(many.pr), len(many.roc)) == (3, 40, 3, 3)
    assert all(upper >= lower for upper, lower in zip(many.roc[0].y, many.roc[2].y, strict=True))
    for line in few.roc:
        assert (line.x[0], line.y[0], line.x[-1], line.y[-1]) == (0, 0, 1, 1)
        assert np.trapezoid(line.y, line.x) == pytest.approx(line.area, abs=0.01), "what is left out cannot be seen"


def test_one_class_has_no_ranking() -> None:
    assert ranking_curves.measure("test", np.ones((3, 2)) / 2, np.zeros(3, int), ["a", "b"]) is None
