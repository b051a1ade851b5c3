"""Images of an unknown class: how well an evaluated model tells them from its own, and what it accepts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from scipy.special import softmax

from kerascnn.artefacts import Predictor, file_rules
from kerascnn.artefacts.further import KNOWN
from kerascnn.cli.progress import SILENT, Phases
from kerascnn.data import Split, named
from kerascnn.errors import UserError
from kerascnn.evaluation.evaluated_model import BATCH, EvaluatedModel
from kerascnn.runs import Run
from kerascnn.statistics import conformal, proportion, unknown

KEY = file_rules.UNKNOWN  # in the scores of a split
TRAINING = 5000  # training images that distances are measured to, spread over train
SCORES = ("max_logit", "energy", "neighbor", "mahalanobis")
BEST = "neighbor"  # experiments/results/unknown.md


class Insides(NamedTuple):
    """The features [n, D] and logits [n, C] of images."""

    features: np.ndarray
    logits: np.ndarray


@dataclass(frozen=True)
class UnknownRule:
    """What tells an image of an unknown class.

    Attributes:
        score: A name of SCORES.
        threshold: Images with a higher score are unknown.
        known: What distances to the training images need.
    """

    score: str
    threshold: float
    known: unknown.Known

    def keep(self, run: Run) -> None:
        """Writes the rule for `predict --reject-unknown`."""
        facts = {"score": np.array(self.score), "threshold": np.array(self.threshold)}
        run.write_predictions(KEY, **facts, **self.known._asdict())

    @classmethod
    def of_run(cls, run: Run) -> UnknownRule | None:
        """Returns the rule that `evaluate --unknown` has written, or None."""
        if not run.has_predictions(KEY):
            return None
        kept = run.read_predictions(KEY)
        known = unknown.Known(*(kept[name] for name in unknown.Known._fields))
        return cls(str(kept["score"]), float(kept["threshold"]), known)

    def is_unknown(self, insides: Insides) -> np.ndarray:
        """Returns whether each image is unknown, bool [n]."""
        return _scores(self.score, insides, self.known) > self.threshold


def check(subject: EvaluatedModel, folder: str | None) -> None:
    """Checks before the scoring that images of unknown classes can be measured.

    Raises:
        UserError: The model is not a network of a run and its own test images, or there is no such folder.
    """
    if folder is None:
        return
    if subject.predictor.network is None or not subject.own or subject.split.name != "test":
        raise UserError("--unknown compares with the test images of a run: leave out --dataset and --split")
    if subject.predictor.task.several:
        raise UserError("--unknown needs one class per image: with several labels an image may have none")
    if not Path(folder).is_dir():
        raise UserError(f"--unknown {folder}: expected a folder of images whose classes are none of the network's")


def measured(
    subject: EvaluatedModel, folder: str, share: float, phases: Phases = SILENT
) -> tuple[dict[str, Any], UnknownRule]:
    """Returns how well unknown images are told from test images, and the rule that tells them.

    Args:
        subject: A run with its own test images.
        folder: Images of other classes.
        share: Share of the images like the run's own that shall be accepted.
        phases: Takes the progress.

    Returns:
        folder, n, broken (unusable files), score (the one that decides), share, from (the split of the threshold) and its n,
        threshold, accepted (share of test), rejected (share of the folder's images), detection: auroc and accepted by score, and
        in_files: threshold, accepted and rejected of the score that exported files have, the largest logit.

    Raises:
        UserError: None of the folder's images can be used.
    """
    inside, chosen = inside_of(subject.network()), _chosen(subject)
    with phases.phase("comparing with the training images"):
        training, labels = _of_split(subject, subject.splits.train, inside, TRAINING)
        known = unknown.known(training.features, labels)
    with phases.phase("images of unknown classes"):
        own = {part.name: _of_split(subject, part, inside)[0] for part in (chosen, subject.split)}
        broken: list[str] = []
        others = _joined(inside(images) for images in _files(subject, folder, broken))
    if others is None:
        raise UserError(f"--unknown {folder}: no usable image")
    scores = {name: {key: _scores(name, one, known) for key, one in own.items()} for name in SCORES}
    foreign = {name: _scores(name, others, known) for name in SCORES}
    with phases.phase("resampling the detection"):
        groups = _groups(subject)
        found = {name: unknown.detection(scores[name]["test"], foreign[name], groups) for name in SCORES}
    limit = conformal.threshold(scores[BEST][chosen.name], share)
    entry = {
        "folder": Path(folder).name,
        "n": len(others.logits),
        "broken": len(broken),
        "score": BEST,
        "share": share,
        "from": chosen.name,
        "from_n": len(own[chosen.name].logits),
        "threshold": limit if np.isfinite(limit) else None,
        "accepted": proportion(scores[BEST]["test"] <= limit, groups)._asdict(),
        "rejected": proportion(foreign[BEST] > limit)._asdict(),
        "detection": {
            name: {key: one._asdict() for key, one in each._asdict().items()} for name, each in found.items()
        },
    }
    known_logits, test_logits = (-scores["max_logit"][name] for name in (chosen.name, "test"))
    entry["in_files"] = file_rules.in_files(known_logits, test_logits, -foreign["max_logit"], share, groups)
    return entry, UnknownRule(BEST, limit, known)


def _scores(name: str, insides: Insides, known: unknown.Known) -> np.ndarray:
    if name == "energy":
        return unknown.energy(insides.logits)
    if name == "max_logit":
        return unknown.max_logit(insides.logits)
    return (unknown.neighbor if name == "neighbor" else unknown.mahalanobis)(insides.features, known)


def _chosen(subject: EvaluatedModel) -> Split:
    """Returns the images that the threshold comes from: those that chose nothing, else val."""
    calibration = subject.splits.calibration
    chosen = calibration if calibration is not None and len(calibration) else subject.splits.val
    if not len(chosen):
        raise UserError("--unknown: the run has no val or calibration images for a threshold")
    return chosen


def inside_of(network: keras.Model) -> Callable[[np.ndarray], Insides]:
    """Returns a function from images [n, H, W, 3] in 0-255 to their features and logits."""
    model = keras.Model(network.input, [network.get_layer("pool").output, network.get_layer("logits").output])

    def inside(images: np.ndarray) -> Insides:
        features, logits = (keras.ops.convert_to_numpy(one) for one in model(images.astype("float32"), training=False))
        return Insides(features.reshape(len(features), -1), logits)

    return inside


def _of_split(
    subject: EvaluatedModel, split: Split, inside: Callable[[np.ndarray], Insides], most: int | None = None
) -> tuple[Insides, np.ndarray]:
    """Returns the insides of a split's images, `most` of them, and their labels."""
    part, rows, places = replace(subject, split=split), [], []
    for images, at in part.images(most):
        rows.append(inside(images))
        places.append(at)
    found = _joined(rows)
    assert found is not None  # a split that can be chosen has images
    return found, part.labels(np.concatenate(places))


def _joined(parts: Iterable[Insides]) -> Insides | None:
    rows = list(parts)
    return Insides(*(np.concatenate(column) for column in zip(*rows, strict=True))) if rows else None


def _groups(subject: EvaluatedModel) -> np.ndarray | None:
    places = np.concatenate([at for _, at in subject.images()]) if len(subject.split) else np.empty(0, int)
    return subject.groups(np.array(subject.split.ids())[places])


def _files(subject: EvaluatedModel, folder: str, broken: list[str]) -> Iterator[np.ndarray]:
    """Yields batches of uint8 images [n, H, W, 3] of a folder; unusable files are noted in `broken`."""
    predictor = subject.predictor

    def refuse(file: str, problem: str) -> None:
        broken.append(file)

    def images() -> Iterator[np.ndarray]:
        for file in named.files([folder], refuse):
            pixels = predictor.decoded(Path(file).read_bytes())
            if isinstance(pixels, str):
                refuse(file, pixels)
            else:
                yield pixels

    each = images()
    while batch := list(islice(each, BATCH)):
        yield np.stack(batch)


def telling(predictor: Predictor, rule: UnknownRule) -> Predictor:
    """Returns a predictor of a network with the further output `known`, by the rule of its run."""
    assert predictor.network is not None
    inside = inside_of(predictor.network)

    def outputs(images: np.ndarray) -> dict[str, np.ndarray]:
        found = inside(np.asarray(images))
        probabilities = softmax(found.logits.astype("float64"), axis=1).astype("float32")
        return {"probabilities": probabilities, KNOWN: ~rule.is_unknown(found)}

    return replace(predictor, further=outputs)


def lines(entry: dict[str, Any]) -> list[str]:
    """Returns the sentences about an entry of metrics.json."""
    right, wrong = entry["accepted"], entry["rejected"]
    said = [
        f"unknown classes ({entry['folder']}, n = {entry['n']:,}): {wrong['value']:.2%} [{wrong['low']:.2%}, {wrong['high']:.2%}]"
        f" rejected; {right['value']:.2%} [{right['low']:.2%}, {right['high']:.2%}] of test accepted, {entry['share']:.0%} asked"
        f" of {entry['from']}, by {entry['score']}"
    ]
    for name, one in entry["detection"].items():
        cells = [
            f"{one[key]['value']:.2%} [{one[key]['low']:.2%}, {one[key]['high']:.2%}]" for key in ("auroc", "accepted")
        ]
        said.append(f"      {name:<12} AUROC {cells[0]}; accepted where 95 % of test are: {cells[1]}")
    return said
