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

from kerascnn.report import confusion_matrix, drawing, image_grid, training_curves
from kerascnn.report.confusion_matrix import FILE, ConfusionMatrix
from kerascnn.report.training_curves import TrainingCurve
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


def pixels(picture):
    return np.asarray(Image.open(io.BytesIO(drawing.png(picture))).convert("RGB"))


def axes(picture):
    return drawing.bare(picture).axes


def texts(picture):
    """All that can be read in a picture's PNG."""
    found = []
    for figure in (titled := drawing.titled(picture), *titled.subfigs):
        found += [text.get_text() for text in figure.texts]
        for axis in figure.axes:
            found += [axis.get_title(), *(text.get_text() for text in axis.texts)]
            found += [label.get_text() for label in (*axis.get_xticklabels(), *axis.get_yticklabels())]
    return [text for text in found if text]


def matrix(labels, predicted, names):
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (labels, predicted), 1)
    return confusion_matrix.picture(ConfusionMatrix("val", tuple(names), counts), FILE)


@pytest.mark.parametrize("n", [0, 1, 5, 24, 40])
def test_image_grid(n):
    images, labels, _ = answers(n, 3)
    titles = [f"number {label}" for label in labels]
    picture = image_grid.images_with_titles(images, titles, heading="first batch")
    drawn = [image for axis in axes(picture) for image in axis.images]
    assert len(drawn) == min(n, image_grid.GALLERY)
    for shown, image in zip(drawn, images, strict=False):
        np.testing.assert_array_equal(shown.get_array(), image)
    places = [tuple(shown.get_extent()) for shown in drawn]
    assert all(one[1] <= other[0] or one[2] <= other[3] for one, other in itertools.pairwise(places))
    assert "first batch" in texts(picture)
    assert pixels(picture).std() > 0


def test_image_grid_takes_float_pixels():
    (axis,) = axes(image_grid.images_with_titles(np.array([[[[-3.0, 99.6, 300.0]]]]), ["one"]))
    assert axis.images[0].get_array().tolist() == [[[0, 99, 255]]]


def test_predictions_name_prediction_and_truth():
    images, _, _ = answers(2, 2)
    picture = image_grid.predictions(images, np.array([0, 1]), np.array([[0.9, 0.1], [0.7, 0.3]]), ["ants", "bees"])
    right, wrong = axes(picture)[0].texts
    assert (right.get_text(), right.get_color()) == ("ants 90%", drawing.RIGHT)
    assert (wrong.get_text(), wrong.get_color()) == ("ants 70%\ntruth: bees 30%", drawing.WRONG)


def test_worst_mistakes():
    images, labels, probabilities = answers(60, 4)
    found = Predictions(np.arange(60), None, labels, probabilities)
    worst = found.worst(image_grid.GALLERY)
    picture = image_grid.worst_mistakes(images[worst], found, list("abcd"))
    total = (probabilities.argmax(1) != labels).sum()
    assert picture.title == f"the {len(worst)} worst of {total} mistakes among 60 images"
    with pytest.raises(ValueError, match="worst mistakes, got 60"):
        image_grid.worst_mistakes(images, found, list("abcd"))
    none = image_grid.worst_mistakes(images[:0], replace(found, probabilities=np.eye(4)[labels]), list("abcd"))
    assert texts(none) == ["no mistakes among 60 images"]
    assert pixels(none).std() > 0


def test_confusion_matrix_counts():
    picture = matrix([0, 0, 0, 1, 1], [0, 1, 1, 1, 1], ["ants", "bees"])
    (axis,) = axes(picture)
    assert {text.get_position(): text.get_text() for text in axis.texts} == {(0, 0): "1", (1, 0): "2", (1, 1): "2"}
    assert [label.get_text() for label in axis.get_yticklabels()] == ["ants (3)", "bees (2)"]
    assert picture.title == "val: 3 of 5 right (60.0%)"
    assert picture.about == "ants predicted as bees: 2 of 3 (66.7%)"
    colors = {cell.get_xy(): cell.get_facecolor() for cell in axis.patches}
    assert len(colors) == 3, "what never happened is clear"
    assert colors[(-0.48, -0.48)][2] > colors[(-0.48, -0.48)][0], "right predictions are blue"
    assert colors[(0.52, -0.48)][0] > colors[(0.52, -0.48)][2], "mistakes are red"


@pytest.mark.parametrize(("classes", "named"), [(2, 2), (30, 30), (100, 100), (250, 84)])
def test_confusion_matrix_is_readable(classes, named):
    """Names are all there up to 100 classes and at least six points high; no two overlap."""
    _, labels, probabilities = answers(4 * classes, classes)
    names = [f"class number {i}" for i in range(classes)]
    picture = matrix(labels, probabilities.argmax(1), names)
    height, width, _ = pixels(picture).shape
    assert max(height, width) <= 2100
    figure = drawing.bare(picture)
    with drawing.style():
        figure.draw_without_rendering()
    (axis,) = figure.axes
    labels = axis.get_yticklabels()
    assert len(labels) == named
    boxes = sorted((label.get_window_extent().y0, label.get_window_extent().y1) for label in labels)
    assert all(high <= low for (_, high), (low, _) in itertools.pairwise(boxes))
    assert labels[0].get_fontsize() >= 6
    assert bool(axis.texts) == (classes <= FILE.counted)


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_any_name_can_be_drawn(name):
    """Warnings are errors here: a letter without a glyph must not become one."""
    images, _, _ = answers(2, 2)
    names = [name, "bees"]
    confusion = matrix([0, 1], [1, 0], names)
    gallery = image_grid.predictions(images, np.array([0, 1]), np.array([[0.1, 0.9], [0.7, 0.3]]), names, heading=name)
    for picture in (confusion, gallery):
        assert pixels(picture).std() > 0
        for text in texts(picture):
            assert len(max(text.split("\n"), key=len)) <= 80
            assert text.replace("\n", "").isprintable()


@pytest.mark.parametrize("epochs", [1, 12])
@pytest.mark.parametrize("val", [True, False])
def test_training_curves(epochs, val):
    rows = [{"epoch": e, "loss": 1 / e, "accuracy": 1 - 1 / (e + 1), "lr": 0.1} for e in range(1, epochs + 1)]
    for row in rows if val else []:
        row |= {"val_loss": 1.1 / row["epoch"], "val_accuracy": row["accuracy"], "val_macro_f1": row["accuracy"]}
    best = 9 if epochs == 12 else None
    pictures = training_curves.of_run(TrainingCurve("a", {0: tuple(rows)}, best))
    assert [picture.title.split(" by")[0] for picture in pictures] == ["loss", "score", "learning rate"]
    loss, score, rate = (axis for picture in pictures for axis in axes(picture))
    assert len(loss.lines) == 1 + val
    assert len(score.lines) == 1 + 2 * val + (best is not None)
    assert len(rate.lines) == 1
    for axis in (loss, score, rate):
        seen, data = axis.viewLim, axis.dataLim
        assert seen.y0 < data.y1 < seen.y1
        assert seen.x0 < 1 <= epochs < seen.x1
    if epochs == 12:
        np.testing.assert_allclose(loss.lines[0].get_xydata()[:2], [[1, 1], [2, 0.5]])
    together = np.asarray(Image.open(io.BytesIO(drawing.png(*pictures))))
    assert together.shape[1] == 3 * 500, "beside each other"


def test_a_long_training_has_no_more_strips_than_can_be_pointed_at():
    rows = tuple({"epoch": e, "loss": 1 / e} for e in range(1, 1001))
    (picture,) = training_curves.of_run(TrainingCurve("a", {0: rows}))
    ((axis,),) = (axes(picture),)
    assert training_curves.STRIPS / 2 < len(axis.patches) <= training_curves.STRIPS


def test_equal_pictures_are_equal_bytes():
    """Plots in a run's folder do not change when nothing did."""
    _, labels, probabilities = answers(20, 3)
    pair = [drawing.png(matrix(labels, probabilities.argmax(1), "abc")) for _ in range(2)]
    assert pair[0] == pair[1]


def test_a_file_says_in_words_what_a_page_says_in_its_alternative_text():
    picture = matrix([0, 0, 1], [0, 1, 1], ["ants", "bees"])
    assert {"val: 2 of 3 right (66.7%)", "ants predicted as bees: 1 of 2 (50.0%)"} <= set(texts(picture))


def test_nothing_is_left_behind():
    before = dict(matplotlib.rcParams)
    drawing.png(*training_curves.of_run(TrainingCurve("a", {0: ({"epoch": 1, "loss": 1.0},)})))
    assert dict(matplotlib.rcParams) == before
    code = (
        "import sys; from kerascnn.report import html, image_grid;"
        "sys.exit('matplotlib.pyplot' in sys.modules or 'tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
