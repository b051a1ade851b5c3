"""Every picture is drawn, in its size, whatever the names; nothing is left behind in matplotlib."""

import io
import itertools
import subprocess
import sys
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from PIL import Image

from kerascnn.report import plots
from kerascnn.scoring.predictions import Predictions

ODD = (
    "a very long class name that goes on and on for ever",
    "شجرة",
    "日本語の猫",
    "$\\frac{$",
    "new\nline",
    "emoji 🐱",
    "bad \udcff byte",
    "<b>&amp;",
    "tab\t",
    "null\0",
)


def answers(n, classes, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    scores = rng.random((n, classes))
    scores[np.arange(n), labels] += 0.4
    images = rng.integers(0, 256, (n, 12, 12, 3), dtype="uint8")
    return images, labels, (scores / scores.sum(axis=1, keepdims=True)).astype("float32")


def pixels(figure):
    return np.asarray(Image.open(io.BytesIO(plots.png(figure))).convert("RGB"))


def texts(figure):
    found = [text.get_text() for text in figure.texts]
    for axis in figure.axes:
        found += [axis.get_title(), *(text.get_text() for text in axis.texts)]
        found += [label.get_text() for label in (*axis.get_xticklabels(), *axis.get_yticklabels())]
    return [text for text in [figure.get_suptitle(), *found] if text]


@pytest.mark.parametrize("n", [0, 1, 5, 24, 40])
def test_image_grid(n):
    images, labels, _ = answers(n, 3)
    figure = plots.image_grid(images, [f"number {label}" for label in labels], heading="first batch")
    drawn = [axis for axis in figure.axes if axis.images]
    assert len(drawn) == min(n, plots.GALLERY)
    for axis, image in zip(drawn, images, strict=False):
        np.testing.assert_array_equal(axis.images[0].get_array(), image)
    assert pixels(figure).std() > 0


def test_image_grid_takes_float_pixels():
    figure = plots.image_grid(np.array([[[[-3.0, 99.6, 300.0]]]]), ["one"])
    assert figure.axes[0].images[0].get_array().tolist() == [[[0, 99, 255]]]


def test_predictions_name_answer_and_truth():
    images, _, _ = answers(2, 2)
    figure = plots.predictions(images, np.array([0, 1]), np.array([[0.9, 0.1], [0.7, 0.3]]), ["ants", "bees"])
    right, wrong = (axis.title for axis in figure.axes)
    assert (right.get_text(), right.get_color()) == ("ants 90%", plots.RIGHT)
    assert (wrong.get_text(), wrong.get_color()) == ("ants 70%\ntruth: bees 30%", plots.WRONG)


def test_worst_mistakes():
    images, labels, probabilities = answers(60, 4)
    found = Predictions(np.arange(60), None, labels, probabilities)
    worst = found.worst(plots.GALLERY)
    figure = plots.worst_mistakes(images[worst], found, list("abcd"))
    total = (probabilities.argmax(1) != labels).sum()
    assert figure.get_suptitle() == f"the {len(worst)} worst of {total} mistakes among 60 images"
    with pytest.raises(ValueError, match="worst mistakes, got 60"):
        plots.worst_mistakes(images, found, list("abcd"))
    none = plots.worst_mistakes(images[:0], replace(found, probabilities=np.eye(4)[labels]), list("abcd"))
    assert texts(none) == ["no mistakes among 60 images"]
    assert pixels(none).std() > 0


def test_confusion_matrix_counts():
    figure = plots.confusion_matrix(np.array([[1, 2], [0, 2]]), ["ants", "bees"])
    (axis,) = figure.axes
    assert {text.get_position(): text.get_text() for text in axis.texts} == {(0, 0): "1", (1, 0): "2", (1, 1): "2"}
    assert [label.get_text() for label in axis.get_yticklabels()] == ["ants (3)", "bees (2)"]
    assert figure.get_suptitle() == "3 of 5 right (60.0%)\nmost often ants predicted as bees: 2 of 3"
    colors = axis.images[0].get_array()
    assert colors[0, 0, 2] > colors[0, 0, 0], "right answers are blue"
    assert colors[0, 1, 0] > colors[0, 1, 2], "mistakes are red"
    assert colors[1, 0].tolist() == [1, 1, 1, 1], "what never happened is white"


@pytest.mark.parametrize(("classes", "named"), [(2, 2), (30, 30), (100, 100), (250, 84)])
def test_confusion_matrix_is_readable(classes, named):
    """Names are all there up to 100 classes and at least six points high; no two overlap."""
    _, labels, probabilities = answers(4 * classes, classes)
    names = [f"class number {i}" for i in range(classes)]
    counts = Predictions(np.arange(len(labels)), None, labels, probabilities).confusion()
    figure = plots.confusion_matrix(counts, names)
    height, width, _ = pixels(figure).shape
    assert max(height, width) <= 2100
    (axis,) = figure.axes
    labels = axis.get_yticklabels()
    assert len(labels) == named
    boxes = sorted((label.get_window_extent().y0, label.get_window_extent().y1) for label in labels)
    assert all(high <= low for (_, high), (low, _) in itertools.pairwise(boxes))
    assert labels[0].get_fontsize() >= 6
    assert bool(axis.texts) == (classes <= plots.COUNTED)


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_any_name_can_be_drawn(name):
    """Warnings are errors here: a letter without a glyph must not become one."""
    images, _, _ = answers(2, 2)
    names = [name, "bees"]
    confusion = plots.confusion_matrix(np.array([[0, 1], [1, 0]]), names)
    gallery = plots.predictions(images, np.array([0, 1]), np.array([[0.1, 0.9], [0.7, 0.3]]), names, heading=name)
    for figure in (confusion, gallery):
        assert pixels(figure).std() > 0
        for text in texts(figure):
            assert len(max(text.split("\n"), key=len)) <= 80
            assert text.replace("\n", "").isprintable()


@pytest.mark.parametrize("epochs", [0, 1, 12])
@pytest.mark.parametrize("val", [True, False])
def test_curves(epochs, val):
    rows = [{"epoch": e, "loss": 1 / e, "accuracy": 1 - 1 / (e + 1), "lr": 0.1} for e in range(1, epochs + 1)]
    for row in rows if val else []:
        row |= {"val_loss": 1.1 / row["epoch"], "val_accuracy": row["accuracy"], "val_macro_f1": row["accuracy"]}
    figure = plots.curves(rows, best=9 if epochs == 12 else None)
    loss, score, rate = figure.axes
    drawn = 1 if epochs else 0
    marked = 1 if epochs == 12 else 0
    assert len(loss.lines) == drawn * (1 + val) + marked
    assert len(score.lines) == drawn * (1 + 2 * val) + marked
    assert len(rate.lines) == drawn
    if epochs == 12:
        np.testing.assert_allclose(loss.lines[0].get_xydata()[:2], [[1, 1], [2, 0.5]])
    assert pixels(figure).std() > 0


def test_equal_pictures_are_equal_bytes():
    """Plots in a run's folder do not change when nothing did."""
    counts = np.arange(9).reshape(3, 3)
    pair = [plots.png(plots.confusion_matrix(counts, list("abc"))) for _ in range(2)]
    assert pair[0] == pair[1]


def test_nothing_is_left_behind():
    before = dict(matplotlib.rcParams)
    plots.png(plots.curves([{"epoch": 1, "loss": 1.0}]))
    assert dict(matplotlib.rcParams) == before
    code = (
        "import sys, kerascnn.report.plots; sys.exit('matplotlib.pyplot' in sys.modules or 'tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
