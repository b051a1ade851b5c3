"""Images that only one arch predicts correctly, with the maps of both."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kerascnn.artefacts import own_images
from kerascnn.artefacts.opening import load_keras
from kerascnn.comparison.conclude import Pair
from kerascnn.comparison.entry import Entry
from kerascnn.data import Splits, labels, pipeline
from kerascnn.errors import UserError
from kerascnn.report import label_pictures
from kerascnn.report.page import Exhibit, Gallery, ShownPrediction
from kerascnn.scoring import grad_cam

EACH_WAY = 4  # images per arch: with two maps each, the gallery has 24 pictures


def gallery(pair: Pair) -> Gallery | None:
    """Returns images that only one arch predicts correctly with the first seed, or None if there are none, the data are
    gone, or runs are paired by fold.
    """
    if pair.contrast.unit == "fold" or not (pair.first.runs and pair.second.runs):
        return None  # each image has networks of its own, or another program's network is not here
    seed = pair.contrast.seeds[0]
    alone = _ahead(pair, [seed])
    chosen = _chosen(pair, alone)
    if not chosen:
        return None
    try:
        splits, images = _images(pair.first, seed, pair.contrast.first.ids[chosen])
    except (UserError, OSError):
        return None
    answers = [_answers(entry, seed, chosen, images) for entry in (pair.first, pair.second)]
    several = pair.contrast.first.task.several
    counts = [f"{(sign * alone > 0).sum():,} {entry.arch}" for sign, entry in ((1, pair.second), (-1, pair.first))]
    title = (
        f"Images {'whose labels one arch alone gets all' if several else 'that one arch alone gets'} right (seed {seed}):"
        f" {' and '.join(counts)}. Shown are those on which most seeds"
        " agree, with what each arch answers and where it looks for that (Grad-CAM)"
    )
    exhibits = tuple(
        Exhibit(
            str(pair.contrast.first.ids[place]),
            labels.names(pair.contrast.first.labels[[place]], splits.class_names)[0].replace(labels.SEPARATOR, ", ")
            or "no label",
            images[i],
            tuple(found[i] for found in answers),
        )
        for i, place in enumerate(chosen)
    )
    return Gallery(title, exhibits)


def _ahead(pair: Pair, seeds: Sequence[int]) -> np.ndarray:
    """Returns in how many more seeds the second arch is right on each image, [m]."""
    right = [
        sum(found.by_seed[seed].correct.astype(int) for seed in seeds)
        for found in (pair.contrast.first, pair.contrast.second)
    ]
    return np.asarray(right[1] - right[0])


def _chosen(pair: Pair, alone: np.ndarray) -> list[int]:
    """Returns indices of images that only one arch predicts correctly, alternating, those with most agreeing seeds first."""
    ahead = _ahead(pair, pair.contrast.seeds)
    best = [
        [int(place) for place in np.argsort(-sign * ahead, kind="stable") if sign * alone[place] > 0][:EACH_WAY]
        for sign in (1, -1)
    ]
    return [ways[i] for i in range(EACH_WAY) for ways in best if i < len(ways)]


def _images(entry: Entry, seed: int, ids: np.ndarray) -> tuple[Splits, np.ndarray]:
    """Returns the data set, and the images as network input, uint8 [k, H, W, 3].

    Raises:
        UserError: The data set has changed since the run was trained.
    """
    run = entry.runs[seed]
    splits = own_images.load(run)
    scored = getattr(splits, entry.split)
    place = {name: i for i, name in enumerate(scored.ids())}
    kept = np.array([place[str(name)] for name in ids])
    part = replace(scored, indices=scored.indices[kept], labels=scored.labels[kept])
    batches = [images.numpy() for images, _, _ in pipeline.scoring(part, splits, len(kept))]
    return splits, np.concatenate(batches)[: len(kept)]


def _answers(entry: Entry, seed: int, places: list[int], images: np.ndarray) -> list[ShownPrediction]:
    """Returns the predictions of the entry's run of `seed` for each image, with their maps."""
    found = entry.answers
    if found.task.several:
        model = load_keras(entry.runs[seed].best_model)
        shown = label_pictures.shown(entry.arch, found.by_seed[seed], places, found.class_names, images, model)
        return [each[0] for each in shown]
    probabilities = found.by_seed[seed].probabilities[places]
    model = load_keras(entry.runs[seed].best_model)
    heat = grad_cam.grad_cam(model, images) if grad_cam.has_maps(model) else np.zeros(images.shape[:3], "float32")
    return [
        ShownPrediction(
            entry.arch,
            found.class_names[int(row.argmax())],
            float(row.max()),
            bool(row.argmax() == found.labels[place]),
            grad_cam.overlay(image, warm),
        )
        for row, place, image, warm in zip(probabilities, places, images, heat, strict=True)
    ]
