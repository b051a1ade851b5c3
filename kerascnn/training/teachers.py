"""The teacher of a distillation (`--teacher`): found, pinned by the digest of its content, and asked about batches.

A teacher counts by content: its sha256 belongs to the identity of a run, its path does not.
"""

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerascnn import models, weights
from kerascnn.architectures import own, tables
from kerascnn.artefacts import features, opening, predictor
from kerascnn.artefacts.folding import folded
from kerascnn.artefacts.versions import versions
from kerascnn.cli.escaping import expanded
from kerascnn.config import AnyConfig, Optim
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.config.training import DistillName
from kerascnn.data import Splits
from kerascnn.devices.plan import Plan
from kerascnn.errors import UserError
from kerascnn.models import cost
from kerascnn.runs import WEIGHTS_PIN, Run
from kerascnn.scoring.task import SINGLE, Task
from kerascnn.training import finetune
from kerascnn.weights.published import has_published, locate

PUBLISHED = "imagenet"
DEFAULT_ARCH = "resnet50"  # of `imagenet`, where the arch that is trained has no published weights
OUTSIDE = (".onnx", ".tflite", ".xml")  # files that other runtimes than TensorFlow compute
SHOWN = 5  # largest number of classes in a message
LEAST = 1e-30  # of a probability before its logarithm
MOST = 1 - 2.0**-24  # of the probability of a label


@dataclass(frozen=True)
class Teacher:
    """A trained network that answers for the images of another one's training.

    Attributes:
        name: What it is, for messages.
        kind: What its answers are for: soft and hard: logits in the order of the student's classes; feature: features.
        width: Number of values of an answer.
        macs: Multiply-adds of an answer; infinite where they are not known.
        seen: Number of the student's test images that it was trained on, as far as that is known.
        answer: float32 [batch, size, size, 3] in 0-255, at the student's size -> float32 [batch, width].
    """

    name: str
    kind: DistillName
    width: int
    macs: float
    seen: int
    answer: Callable[[Any], Any]

    def lines(self, section: Optim) -> list[str]:
        """Returns the lines that say what is learned from it, by the config's section."""
        at = f" at temperature {section.distill_temperature:g}" if self.kind == "soft" else ""
        what = {"soft": "probabilities", "hard": "decisions", "feature": f"{self.width} features"}[self.kind]
        said = f"teacher {self.name}: its {what}{at} are {section.distill_weight:.0%} of the loss"
        warned = f"note: the teacher was trained on {self.seen:,} of the test images, whose scores will be too good"
        return [said, warned] if self.seen else [said]

    def __call__(self, images):
        """Returns answers, float32 [batch, width], for images [batch, size, size, 3] in 0-255, uint8 or float."""
        return self.answer(tf.cast(images, tf.float32))


def resolve(config: AnyConfig, splits: Splits) -> AnyConfig:
    """Returns `config` with the digest of its teacher after the teacher's path.

    Raises:
        UserError: There is no such teacher, it differs from that of the config, or does not know the classes.
    """
    section = config.optim
    if section.teacher is None:
        return config
    place, pinned = finetune.place_and_pin(section.teacher, "--teacher")
    try:
        path = _path(place, config.model.arch)
        found = _digest(path)
    except UserError:
        if pinned:  # a finished run needs it no longer; others say so when they ask it
            return config
        raise
    if pinned not in ("", found):
        raise UserError(
            f"--teacher {place}: it has changed since this run began (sha256 {pinned[:12]}... then, {found[:12]}... now):"
            f" give the teacher that was used, or start another run with --teacher {place}"
        )
    if section.distill != "feature" and not _is_published(place):
        known = opening.known_facts(path)
        if known.class_names is not None:
            _columns(place, known.class_names, known.task or SINGLE, splits)
    return config.replace(optim={"teacher": f"{place}{WEIGHTS_PIN}{found}"})


def find(config: ResolvedConfig, splits: Splits, plan: Plan) -> Teacher:
    """Returns the teacher of a resolved config that has one.

    Args:
        config: The config.
        splits: Its data, at full size: the teacher sees images of this size, resized to its own.
        plan: The devices, on which it computes in float32.

    Raises:
        UserError: It is gone, or differs from that of the config; it does not know the classes, or has no features.
    """
    section = config.optim
    assert section.teacher is not None
    place, pinned = finetune.place_and_pin(section.teacher, "--teacher")
    try:
        path = _path(place, config.model.arch)
        changed = _digest(path) != pinned
    except UserError as error:
        raise UserError(
            f"{error}\nthe teacher of this run is needed until its training ends; where it has moved, give its new path:"
            " --teacher PATH with the same command continues"
        ) from None
    if changed:
        raise UserError(f"--teacher {place}: {path} has changed since this run began")
    with plan.scope():
        keras.config.set_dtype_policy("float32")  # the scope restores it
        opened = (
            _published(_arch_of(place, config.model.arch), path)
            if _is_published(place)
            else opening.open_any(path, opening.Given())
        )
        if opened.network is not None:
            opened = replace(opened, network=folded(opened.network))
        if path.suffix in OUTSIDE and plan.jit:
            raise UserError(
                f"--teacher {place}: XLA cannot call its runtime: give the run or a SavedModel, or --jit off"
            )
        answer, width = _answer(opened, place, section.distill, splits, outside=path.suffix in OUTSIDE)
    macs = float("inf") if opened.network is None else cost.count(opened.network, opened.image_size).macs
    resized = _resized(splits.image_size, opened.image_size)
    seen = _seen(path, splits)
    return Teacher(place, section.distill, width, macs, seen, lambda images: answer(resized(images)))


def _seen(path: Path, splits: Splits) -> int:
    """Returns how many of the student's test images the run of a teacher was trained on; 0 where it is not a run."""
    run = Run(path.parent)
    if path != run.best_model or not run.split_file.exists() or run.data()["fingerprint"] != splits.fingerprint:
        return 0
    there = run.split_rows()
    return sum(there.get(name) == "train" for name in splits.test.ids())


def _is_published(place: str) -> bool:
    return place.partition(":")[0] == PUBLISHED


def _arch_of(place: str, student: str) -> str:
    """Returns the arch of `imagenet[:ARCH]`: by default the student's, or one that has published weights."""
    named = place.partition(":")[2] or (student if has_published(student) else DEFAULT_ARCH)
    return tables.resolve(named, 2 * tables.SMALL_IMAGE)


def _path(place: str, student: str) -> Path:
    """Returns the file of a teacher, or the folder of its SavedModel.

    Raises:
        UserError: There is none, or its run is not finished.
    """
    if _is_published(place):
        return locate(PUBLISHED, _arch_of(place, student))
    path = expanded(place)
    run = Run(path)
    if run.config_file.exists():
        run.metrics()  # raises if it is not finished
        return run.best_model
    if path.is_file():
        return path
    for version in (path, *(path / str(number) for number in reversed(versions(path)))):
        if (version / "saved_model.pb").is_file():
            return version
    there = "something else" if path.exists() else "nothing"
    raise UserError(
        f"--teacher: expected a finished run, a SavedModel, a .keras, .onnx, .tflite or .xml file, or imagenet[:ARCH];"
        f" found {there} at {place}"
    )


def _digest(path: Path) -> str:
    """Returns the sha256 of the weights of a run or `.keras` file, else of all that computes: of a file, or a SavedModel."""
    if path.is_file() and path.suffix != ".xml":
        return finetune.fingerprint(path)
    parts = [path, path.with_suffix(".bin")] if path.is_file() else [path / "saved_model.pb", *_variables(path)]
    whole = hashlib.sha256()
    for part in parts:
        whole.update(f"{part.name}\0{finetune.fingerprint(part)}\n".encode())
    return whole.hexdigest()


def _variables(version: Path) -> list[Path]:
    return sorted((version / "variables").iterdir())


def _published(arch: str, file: Path) -> predictor.Predictor:
    """Returns the predictor of published weights, at the size that they were trained for."""
    size = 224 if own.parse(arch) else tables.row(arch).image_size
    classes = 1000
    network = models.build(arch, (size, size, 3), classes)
    weights.load(network, arch, file)
    names = tuple(str(number) for number in range(classes))
    return predictor.Predictor(names, size, "crop", opening.probabilities_of(network), network=network)


def _answer(
    opened: predictor.Predictor, place: str, kind: DistillName, splits: Splits, *, outside: bool
) -> tuple[Callable[[Any], Any], int]:
    """Returns the function from images at the teacher's size to its answers, and their width."""
    if kind == "feature":
        try:
            function = features.function(opened, place)
        except UserError as error:
            raise UserError(f"--teacher {place} --distill feature: {error}") from None
        return function, int(function(tf.zeros([1, opened.image_size, opened.image_size, 3])).shape[-1])
    names = _imagenet_names(splits.class_names) if _is_published(place) else opened.class_names
    columns = _columns(place, names, opened.task, splits)
    logits = _logits(opened, outside)
    if columns == list(range(len(names))):
        return logits, len(columns)
    return lambda images: tf.gather(logits(images), columns, axis=1), len(columns)


def _logits(opened: predictor.Predictor, outside: bool) -> Callable[[Any], Any]:
    """Returns the function to logits: the network's own, or those that probabilities imply, up to a constant of each image."""
    network, several, classes = opened.network, opened.task.several, len(opened.class_names)
    if network is not None:
        return lambda images: tf.cast(network(images, training=False), tf.float32)
    infer = _called(opened.infer, classes) if outside else opened.infer

    def logits(images):
        p = tf.cast(infer(images), tf.float32)
        log = tf.math.log(tf.maximum(p, LEAST))
        return log - tf.math.log1p(-tf.minimum(p, MOST)) if several else log

    return logits


def _called(infer: Callable[[Any], Any], classes: int) -> Callable[[Any], Any]:
    """Returns a function of tensors that calls another runtime, for one batch at a time."""
    one_at_a_time = threading.Lock()

    def call(images: np.ndarray) -> np.ndarray:
        with one_at_a_time:
            return np.asarray(infer(images), np.float32)

    return lambda images: tf.ensure_shape(tf.numpy_function(call, [images], tf.float32), [None, classes])


def _columns(place: str, names: Sequence[str], task: Task, splits: Splits) -> list[int]:
    """Returns where the student's classes are among those of a teacher, which may know more and in another order.

    Raises:
        UserError: It lacks one, or answers another question.
    """
    if task.several != splits.task.several:
        kinds = ["several labels per image" if several else "one class per image" for several in (True, False)]
        theirs, ours = kinds if task.several else kinds[::-1]
        raise UserError(f"--teacher {place}: it was trained for {theirs}, and {splits.name} has {ours}")
    at = {name: number for number, name in enumerate(names)}
    if missing := [name for name in splits.class_names if name not in at]:
        lacking, known = (", ".join(map(repr, some[:SHOWN])) for some in (missing, list(names)))
        raise UserError(
            f"--teacher {place}: expected a network that knows the {len(splits.class_names)} classes of {splits.name};"
            f" it lacks {len(missing)} of them ({lacking}) and knows {len(names)} ({known}, ...); --distill feature needs"
            " no common classes"
        )
    return [at[name] for name in splits.class_names]


def _imagenet_names(wanted: Sequence[str]) -> list[str]:
    """Returns the names of ImageNet's classes: WordNet ids or words, whichever are among those that are wanted.

    Raises:
        UserError: Keras could not download its list.
    """
    try:
        rows = keras.applications.imagenet_utils.decode_predictions(np.eye(1000, dtype="float32"), top=1)
    except Exception as error:  # a downloader without network access may raise anything
        raise UserError(
            "--teacher imagenet: keras.applications could not download imagenet_class_index.json, the names of the classes"
            f" ({(str(error).splitlines() or [type(error).__name__])[0]}); --distill feature needs none"
        ) from error
    ids, words = ([row[0][column] for row in rows] for column in (0, 1))
    return ids if set(wanted) & set(ids) else words


def _resized(before: int, after: int) -> Callable[[Any], Any]:
    """Returns the bilinear, antialiased resizing between two sizes as two products, which XLA compiles on every device."""
    if before == after:
        return lambda images: images
    identity = tf.eye(before)[None, :, :, None]
    matrix = tf.image.resize(identity, (after, before), antialias=True)[0, :, :, 0].numpy()
    return lambda images: tf.einsum("qw,bpwc->bpqc", matrix, tf.einsum("ph,bhwc->bpwc", matrix, images))
