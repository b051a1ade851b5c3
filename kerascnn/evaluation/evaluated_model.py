"""The evaluated model: an artefact, the images of a split, and its predictions for them."""

import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np

from kerascnn import artefacts, data
from kerascnn.artefacts import Predictor, own_images
from kerascnn.cli.escaping import expanded
from kerascnn.cli.progress import SILENT, Phase, Phases
from kerascnn.config import Data
from kerascnn.config.section import nearest
from kerascnn.data import Room, Split, Splits, pipeline
from kerascnn.data.cache import Cache
from kerascnn.data.grouping import groups_of
from kerascnn.data.walking import composed
from kerascnn.errors import UserError
from kerascnn.runs import Run
from kerascnn.runs.earlier import alike
from kerascnn.scoring.predictions import Predictions

BATCH = 64
HELD = 500_000_000
_LISTS = ("split_file", "exclude", "relabel")  # fields of the data that name images of a run
# uint8 images [n, H, W, 3] and their indices in the split -> versions of them, whose probabilities are averaged.
View = Callable[[np.ndarray, np.ndarray], Iterator[np.ndarray]]


@dataclass(frozen=True)
class EvaluatedModel:
    """An artefact and the split on which it is evaluated.

    Attributes:
        path: Path of the artefact as given.
        predictor: The artefact.
        run: The run of the artefact, if any.
        own: Whether the images are those of the run, in its splits.
        splits: The data set.
        split: The images.
    """

    path: Path
    predictor: Predictor
    run: Run | None
    own: bool
    splits: Splits
    split: Split

    def notes(self) -> list[str]:
        """Returns notes about the images: what was skipped, and decisions of their listing."""
        mine = own_images.by_names_only(self.run, self.splits) if self.run is not None and self.own else ""
        said = [note for note in self.splits.notes if not self.own or "passed over" in note or "skipped" in note]
        return [*said, *([mine] if mine else [])]

    def network(self) -> keras.Model:
        """Returns the network, which maps need; UserError for a format without one."""
        if self.predictor.network is not None:
            return self.predictor.network
        raise UserError(
            f"{self.path}: maps need a single network: give its run or its .keras file (an ensemble has none)"
        )

    def groups(self, ids: np.ndarray) -> np.ndarray | None:
        """Returns the group of each of these images in the run's data, int [n], or None if there are no groups."""
        return None if self.run is None else groups_of(ids, self.run)

    def images(self, most: int | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields uint8 images [k, H, W, 3] and their indices in the split; only `most` of them, spread over the split."""
        yield from self.batches(np.arange(len(self.split)) if most is None else spread(len(self.split), most))

    def sample(self, most: int | None) -> Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]]:
        """Returns a function that yields `images(most)` each time; the images are decoded once if they fit into HELD bytes."""
        size = self.predictor.image_size
        if min(most or len(self.split), len(self.split)) * size * size * 3 > HELD:
            return lambda: self.images(most)
        held = list(self.images(most))
        return lambda: held

    def at(self, places: np.ndarray) -> np.ndarray:
        """Returns the decodable uint8 images [k, H, W, 3] at these indices in the split, in their order."""
        if not len(places):
            size = self.predictor.image_size
            return np.empty((0, size, size, 3), np.uint8)
        return np.concatenate([images for images, _ in self.batches(places)])

    def batches(self, kept: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields the decodable uint8 images [k, H, W, 3] at these indices in the split, and their indices."""
        part = replace(self.split, indices=self.split.indices[kept], labels=self.split.labels[kept])
        first = 0
        batches = pipeline.scoring(part, self.splits, BATCH, Cache("auto"))  # decoded once if they fit
        with pipeline.telling(self.split.source):
            for images, _, weights in batches:
                # Padding rows and images that cannot be decoded have weight 0.
                rows = np.flatnonzero(weights.numpy() > 0)
                if len(rows):
                    yield images.numpy()[rows], kept[first + rows]
                first += len(weights)

    def labels(self, places: np.ndarray) -> np.ndarray:
        """Returns the true classes at these indices of the split, or their labels, in the artefact's order of classes."""
        order = {composed(name): i for i, name in enumerate(self.predictor.class_names)}
        own = np.array([order[composed(name)] for name in self.splits.class_names])
        if self.predictor.task.several:
            found = np.zeros((len(places), len(order)), bool)
            found[:, own] = self.split.labels[places]
            return found
        return own[self.split.labels[places]].astype(np.int64)

    def predictions(
        self,
        view: View | None = None,
        sample: Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]] | None = None,
        phase: Phase | None = None,
    ) -> Predictions:
        """Returns the predictions for the split, or a sample of it; with a view the mean over its versions."""
        ids, rows, found = self.split.ids(), [], []
        for images, places in (sample or self.images)():
            versions = [images] if view is None else view(images, places)
            asked = [np.asarray(self.predictor.infer(version.astype("float32"))) for version in versions]
            found.append(np.mean(asked, axis=0, dtype="float64").astype("float32"))
            rows.append(places)
            if phase:
                phase.advance(len(places))
        places = np.concatenate(rows)
        return Predictions(
            np.array([ids[i] for i in places]),
            places,
            self.labels(places),
            np.concatenate(found),
            self.predictor.thresholds,
        )


def spread(n: int, most: int) -> np.ndarray:
    """Returns the indices of at most `most` of n things, spread over them."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))


def find(
    path: Path,
    dataset: str | None,
    data_dir: str | None,
    split: str,
    room: Room = Room(),  # noqa: B008 - frozen
    phases: Phases = SILENT,
) -> EvaluatedModel:
    """Returns the artefact at `path` with the images for its evaluation.

    Args:
        path: A run's directory, or any artefact.
        dataset: Another data set than the run's own, with its own splits: one without splits becomes test.
        data_dir: Folder of the prepared data of TFDS; None for that of the run.
        split: train, val or test.
        room: Resources of the listing; digests of files are remembered beside the run.

    Raises:
        UserError: There is no artefact or there are no such images, classes differ, or a run's images have changed.
    """
    run = _run_of(path)
    with phases.phase("loading the network"):
        predictor = artefacts.open(path)
    if dataset is None and run is None:
        raise UserError(f"{path} does not know its images: give --dataset NAME_OR_FOLDER")
    splits, own = _images_of(run, dataset, data_dir, predictor, room, phases)
    _check_classes(predictor, splits)
    return EvaluatedModel(path, predictor, run, own, splits, _chosen(splits, split, run if own else None))


def _run_of(path: Path) -> Run | None:
    """Returns the finished run that `path` is, or whose best model it is."""
    run = Run(path if path.is_dir() else path.parent)
    if not run.config_file.exists() or path not in (run.path, run.best_model):
        return None
    run.metrics()  # says what to do if it is not finished
    return run


def _images_of(
    run: Run | None, dataset: str | None, data_dir: str | None, predictor: Predictor, room: Room, phases: Phases
) -> tuple[Splits, bool]:
    """Returns the data set at the artefact's image size, and whether it is the run's own in its splits."""
    section = Data(data_dir=data_dir) if run is None else own_images.section_of(run, dataset, data_dir)
    fields = {
        "image_size": predictor.image_size,
        "resize": predictor.resize,
        "dataset": dataset,
        "task": predictor.task.name,
    }
    asked = section.model_copy(update={key: value for key, value in fields.items() if value is not None})
    if run is not None and room.contents is None:
        room = replace(room, contents=run.path.parent)
    if dataset is not None:
        asked = _with_split_file(asked, run)
        try:
            splits = data.load_as_given(asked, room, phases)
        except UserError:
            if all(getattr(asked, name) is None for name in _LISTS):
                raise
            # The files list the run's own images: a data set without them is another one, with its own splits.
            return data.load_as_given(asked.model_copy(update=dict.fromkeys(_LISTS)), room, phases), False
        # The run's images under another path are still its own: its training images are never scored as test.
        if run is None or not alike(run, splits.fingerprint, splits.former):
            return splits, False
    assert run is not None
    with own_images.asking_where(run):
        splits = data.load(asked, room, phases)
    if not alike(run, splits.fingerprint, splits.former):
        raise UserError(_changed(run, asked.dataset))
    return splits.arranged(run.split_rows()), True


def _with_split_file(asked: Data, run: Run | None) -> Data:
    """Uses the run's split.csv in place of a missing --split-file: the training images are still known."""
    if run is None or asked.split_file is None or expanded(asked.split_file).exists():
        return asked
    return asked.model_copy(update={"split_file": str(run.split_file)})


def _changed(run: Run, dataset: str) -> str:
    return (
        f"the images of {dataset} are not those that {run.name} was trained with (another fingerprint): restore them;"
        f" --dataset {shlex.quote(dataset)} would score all images there, possibly including training images"
    )


def _check_classes(predictor: Predictor, splits: Splits) -> None:
    known = {composed(name) for name in predictor.class_names}
    strange = [name for name in splits.class_names if composed(name) not in known]
    if strange:
        raise UserError(
            f"{splits.name} has classes that the artefact does not know: {', '.join(strange[:5])}"
            f"{nearest(strange[0], predictor.class_names)}; it knows {len(predictor.class_names)}:"
            f" {', '.join(predictor.class_names[:10])}"
        )


def _chosen(splits: Splits, name: str, run: Run | None) -> Split:
    chosen = {part.name: part for part in splits.parts()}.get(name)
    if chosen is None or not len(chosen):
        there = ", ".join(f"{part.name} ({len(part):,})" for part in splits.parts() if len(part))
        hint = ""
        if run is not None and "members" in run.metrics():
            hint = (
                ", which most networks of this ensemble have seen: the out-of-fold score beside it is that of one network;"
                " --dataset scores other images"
            )
        raise UserError(f"--split {name}: {splits.name} has no such images; it has {there}{hint}")
    return chosen
