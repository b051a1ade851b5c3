"""What TensorBoard shows of a run, under `tensorboard/`: curves by epoch with the tags of Keras' own callback.

TensorBoard orders tags by name, pictures among them, and opens the first ones: `epoch_accuracy` comes first because
curves by step are called `step_*` and pictures lie below PICTURES. Epochs count from 1, as on the screen and in
history.csv (Keras' own callback counts from 0).

Every record says its step. What is written once (graph, text, pictures, hyperparameters) lies in one event file per tag
and is replaced when it is written again; curves are cut back to the checkpoint when a run resumes. Hence no step is
there twice.
"""

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from kerascnn.compat.tensorboard import api_pb2, custom_scalar, hparams, layout_pb2, pr_curve, session_end_pb
from kerascnn.runs.files import sync
from kerascnn.scoring import metrics

PICTURES = "pictures"
COUNTED_ANEW = "kerascnn: epochs from 1"  # the mark of a file whose epochs were counted from 0
# Scores that are written by step.
STEPS = {row.name for row in metrics.SCORES.values() if row.trained} | {"aux_loss"}
# Names in our logs that stock runs know by another name.
TAGS = {"lr": "learning_rate"}
TRAIN, VALIDATION, TEST, HPARAMS = "train", "validation", "test", "hparams"
# Where a split's records go; those of train and val beside the curves that Keras' own callback would write.
FOLDERS = {"train": TRAIN, "val": VALIDATION, "test": TEST}


class TensorBoard(keras.callbacks.Callback):
    """Writes `epoch_*` by epoch, counted from 1, and `step_*` by optimizer step.

    Between two points of the step curves nothing is asked of the device. Everything is flushed as it is written, so that
    a checkpoint that is saved later never knows more than the event files: stand before the callback that saves.

    Args:
        log_dir: The run's `tensorboard` directory; train/ and validation/ are made in it.
        every_steps: Steps between two points of the `step_*` curves.
        step: Optimizer steps that were done when this fit begins.
        epochs_done: Epochs that were done when this fit begins.
        input_wait: Seconds that training has waited for its input so far, or None.
        images_per_step: The global batch size.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        *,
        every_steps: int,
        step: int,
        epochs_done: int,
        input_wait: Callable[[], float] | None,
        images_per_step: int,
    ) -> None:
        super().__init__()
        self.log_dir = Path(log_dir)
        self.every_steps, self.step, self.epochs_done = every_steps, step, epochs_done
        self.input_wait, self.images_per_step = input_wait, images_per_step
        self._first = step  # of the epoch, or of what is left of it
        self._clock: tuple[int, float, float] | None = None
        self._writers: dict[str, tf.summary.SummaryWriter] = {}

    def on_train_begin(self, logs: dict | None = None) -> None:
        prepare(self.log_dir, self.step, self.epochs_done)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._first = self.step
        self._clock = None

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        before, self.step = self.step, self._first + batch + 1
        if self.step // self.every_steps > before // self.every_steps:
            self._write_batch(logs or {})
        elif self._clock is None:
            # Speed counts from the end of an epoch's first step: that one may trace and compile.
            self._clock = self._now()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        values = {TAGS.get(name, name): value for name, value in (logs or {}).items()}
        val = {name: value for name, value in values.items() if name.startswith("val_")}
        train = {name: value for name, value in values.items() if name not in val}
        if "learning_rate" not in train:
            train["learning_rate"] = self._learning_rate()
        self._write(TRAIN, {f"epoch_{name}": value for name, value in train.items()}, epoch + 1)
        self._write(VALIDATION, {f"epoch_{name[4:]}": value for name, value in val.items()}, epoch + 1)

    def on_train_end(self, logs: dict | None = None) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _write_batch(self, logs: Mapping[str, Any]) -> None:
        # float() waits for the device: before the clock is read.
        values = {name: float(value) for name, value in logs.items() if name in STEPS}
        values["learning_rate"] = self._learning_rate()
        now = self._now()
        if self._clock is not None:
            steps, seconds, waited = (new - old for new, old in zip(now, self._clock, strict=True))
            values["images_per_second"] = steps * self.images_per_step / max(seconds, 1e-9)
            if self.input_wait is not None:
                values["input_wait"] = min(waited / max(seconds, 1e-9), 1.0)
        self._clock = now
        self._write(TRAIN, {f"step_{name}": value for name, value in values.items()}, self.step)

    def _now(self) -> tuple[int, float, float]:
        return self.step, time.perf_counter(), self.input_wait() if self.input_wait else 0.0

    def _learning_rate(self) -> float:
        return float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def _write(self, split: str, values: Mapping[str, float], step: int) -> None:
        if not values:
            return
        if split not in self._writers:
            self._writers[split] = tf.summary.create_file_writer(os.fsencode(self.log_dir / split))
        with self._writers[split].as_default():  # flushes when it is left
            for tag, value in values.items():
                tf.summary.scalar(tag, float(value), step=step)


class Profile(keras.callbacks.Callback):
    """Traces some steps of the first fit that it sees into `train/plugins/profile`, for xprof.

    Args:
        log_dir: The run's `tensorboard` directory.
        first: First traced step of this process, counted from 1; those before warm up.
        last: Last traced step.
    """

    def __init__(self, log_dir: str | os.PathLike[str], first: int = 5, last: int = 10) -> None:
        super().__init__()
        self.log_dir = Path(log_dir)
        self.first, self.last = first, last
        self._step = 0
        self._state: Literal["waiting", "tracing", "done"] = "waiting"
        self._mark: tf.profiler.experimental.Trace | None = None

    def on_train_begin(self, logs: dict | None = None) -> None:
        if self._state == "waiting":
            # The profiler's own first start is slow and would stand in the trace as idle time.
            tf.profiler.experimental.start("")
            tf.profiler.experimental.stop(save=False)

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        self._step += 1
        if self._state == "waiting" and self._step >= self.first:
            tf.profiler.experimental.start(str(self.log_dir / TRAIN))
            self._state = "tracing"
        if self._state == "tracing":
            self._mark = tf.profiler.experimental.Trace("train", step_num=self._step, _r=1)
            self._mark.__enter__()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if self._mark is not None:
            self._mark.__exit__(None, None, None)
            self._mark = None
            if self._step >= self.last:
                self._stop()

    def on_train_end(self, logs: dict | None = None) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._state == "tracing":
            tf.profiler.experimental.stop()
            self._state = "done"


def prepare(log_dir: str | os.PathLike[str], step: int, epochs_done: int) -> None:
    """Cut the curves back to a checkpoint: `step_*` to its step, `epoch_*` to its epochs; other records stay.

    Event files that hold more are written anew aside and renamed. A record that a kill left unfinished ends its file.
    Epochs that an earlier version counted from 0 are counted from 1 from here on.
    """
    for split in (TRAIN, VALIDATION):
        paths = sorted((Path(log_dir) / split).glob("events.out.tfevents.*"))
        found = {path: _read(path) for path in paths if not path.name.endswith(".profile-empty")}
        late = any(_from_zero(records) for records, _ in found.values())
        # The file that holds epoch 0 is the oldest: it comes last, so that a kill in between is noticed at the next start.
        for path in reversed(found):
            _cut(path, *found[path], step, epochs_done, late and not _counted_anew(found[path][0]))


def _from_zero(records: Sequence[bytes]) -> bool:
    events = map(tf.compat.v1.Event.FromString, records)
    return any(value.tag.startswith("epoch_") for event in events if not event.step for value in event.summary.value)


def _counted_anew(records: Sequence[bytes]) -> bool:
    return bool(records) and tf.compat.v1.Event.FromString(records[0]).source_metadata.writer == COUNTED_ANEW


def _cut(path: Path, records: Sequence[bytes], whole: bool, step: int, epochs_done: int, late: bool) -> None:
    kept, changed = [], not whole or late
    for i, record in enumerate(records):
        event = tf.compat.v1.Event.FromString(record)
        if late:
            event.step += any(value.tag.startswith("epoch_") for value in event.summary.value)
            if not i:
                event.source_metadata.writer = COUNTED_ANEW
            record = event.SerializeToString()
        values = [value for value in event.summary.value if _stays(value.tag, event.step, step, epochs_done)]
        if len(values) == len(event.summary.value):
            kept.append(record)
            continue
        changed = True
        if values:
            del event.summary.value[:]
            event.summary.value.extend(values)
            kept.append(event.SerializeToString())
    if len(kept) <= 1:  # nothing but the format's version
        path.unlink()
    elif changed:
        aside = path.with_name(f".aside-{path.stat().st_ino}")  # TensorBoard reads any name with "tfevents" in it
        with tf.io.TFRecordWriter(str(aside)) as writer:
            for record in kept:
                writer.write(record)
        sync(aside)
        aside.replace(path)
    sync(path.parent)


def _stays(tag: str, at: int, step: int, epochs_done: int) -> bool:
    if tag.startswith(("step_", "batch_")):  # their name in earlier versions
        return at <= step
    if tag.startswith("epoch_"):
        return at <= epochs_done
    return True


def _read(path: Path) -> tuple[list[bytes], bool]:
    """The records of an event file up to the first damaged one, and whether that was all."""
    records: list[bytes] = []
    try:
        records.extend(record.numpy() for record in tf.data.TFRecordDataset(str(path)))
    except tf.errors.DataLossError:
        return records, False
    return records, True


def write_graph(log_dir: str | os.PathLike[str], model: keras.Model, graph: tf.Graph) -> None:
    """The layers (TensorBoard's conceptual graph) and the operations of inference, in train/.

    Args:
        log_dir: The run's `tensorboard` directory.
        model: The functional network itself: TensorBoard cannot draw a subclass around it.
        graph: Its inference, traced (`cost.inference_graph`).
    """
    kind = tf.compat.v1.SummaryMetadata()
    kind.plugin_data.plugin_name, kind.plugin_data.content = "graph_keras_model", b"1"
    with _only(Path(log_dir) / TRAIN, "graph"):
        tf.summary.write("keras", model.to_json(), step=0, metadata=kind)
        tf.summary.graph(graph)


def write_config(log_dir: str | os.PathLike[str], markdown: str) -> None:
    """The run's config as text, in train/."""
    with _only(Path(log_dir) / TRAIN, "config"):
        tf.summary.text("config", markdown, step=0)


def write_images(log_dir: str | os.PathLike[str], split: str, pictures: Mapping[str, bytes], step: int = 0) -> None:
    """PNG pictures by name, in the split's folder; a picture of the same name is replaced.

    Args:
        log_dir: The run's `tensorboard` directory.
        split: train, val or test: whose images they show.
        pictures: Name to PNG bytes; the tag is the name below PICTURES.
        step: Optimizer step or epoch that they belong to.
    """
    _drop_misfiled(log_dir, split, [f"image-{name}" for name in pictures])
    for name, png in pictures.items():
        with _only(Path(log_dir) / FOLDERS[split], f"image-{name}"):
            tf.summary.image(f"{PICTURES}/{name}", tf.io.decode_png(png, channels=3)[None], step=step)


def _drop_misfiled(log_dir: str | os.PathLike[str], split: str, names: Sequence[str]) -> None:
    """Remove what earlier versions filed under validation/ although it was of another split."""
    if split != "val":
        for name in names:
            for old in (Path(log_dir) / VALIDATION).glob(f"events.out.tfevents.*{_suffix(name)}"):
                old.unlink()


def write_hparams(
    log_dir: str | os.PathLike[str], name: str, values: Mapping[str, Any], scores: Mapping[str, float] | None = None
) -> None:
    """One row of the HParams table: the run's session, in hparams/; with `scores` the session has ended.

    Never an experiment's explicit list of columns: TensorBoard takes the first that it finds among all runs, and hides
    what that one does not list. It makes columns of all scalars beside and below a session, hence a directory apart: the
    final scores, and not every `step_*` tag.

    Args:
        log_dir: The run's `tensorboard` directory.
        name: The run's name: sessions of equal values stay rows of their own.
        values: Flat names to values; None is left out, rows are joined, what else TensorBoard does not know becomes text.
        scores: Final scores by name.
    """
    plain = {key: _plain(value) for key, value in values.items() if value is not None}
    with _only(Path(log_dir) / HPARAMS, "hparams"):
        tf.summary.experimental.write_raw_pb(hparams.hparams_pb(plain, trial_id=name).SerializeToString(), step=0)
        for tag, value in (scores or {}).items():
            tf.summary.scalar(tag, value, step=0)
        if scores is not None:
            tf.summary.experimental.write_raw_pb(session_end_pb(api_pb2.STATUS_SUCCESS).SerializeToString(), step=0)


def write_pr_curves(
    log_dir: str | os.PathLike[str],
    split: str,
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
) -> None:
    """Precision-recall curves for the PR CURVES tab, one per class, in the split's folder.

    Args:
        log_dir: The run's `tensorboard` directory.
        split: train, val or test: whose images they are of.
        labels: True classes, [n].
        probabilities: [n, C].
        class_names: C names.
    """
    # Until they had a split of their own in the name, curves of test lay under validation/.
    for old in (Path(log_dir) / VALIDATION).glob(f"events.out.tfevents.*{_suffix('pr-curves')}"):
        old.unlink()
    with _only(Path(log_dir) / FOLDERS[split], f"pr-curves-{split}"):
        for c, name in enumerate(class_names):
            curve = pr_curve.pb(f"pr/{name}", labels == c, probabilities[:, c], display_name=name)
            tf.summary.experimental.write_raw_pb(curve.SerializeToString(), step=0)


def write_layout(log_dir: str | os.PathLike[str]) -> None:
    """What the CUSTOM SCALARS tab shows: losses and scores of train and validation beside each other, speed."""

    def chart(title: str, *tags: str) -> layout_pb2.Chart:
        return layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=list(tags)))

    first, *further = metrics.counted()
    layout = layout_pb2.Layout(
        category=[
            layout_pb2.Category(
                title="training and validation",
                chart=[chart("loss", "^epoch_loss$", "^epoch_aux_loss$"), chart(first.title, f"^epoch_{first.name}$")],
            ),
            layout_pb2.Category(
                title="further scores",
                chart=[chart(", ".join(s.title for s in further), *(f"^epoch_{s.name}$" for s in further))],
            ),
            layout_pb2.Category(
                title="speed",
                chart=[
                    chart("images per second", "^step_images_per_second$"),
                    chart("share of the time waiting for input", "^step_input_wait$"),
                ],
            ),
        ]
    )
    with _only(Path(log_dir) / TRAIN, "layout"):
        tf.summary.experimental.write_raw_pb(custom_scalar.pb(layout).SerializeToString(), step=0)


def write_experiment(
    log_dir: str | os.PathLike[str], spans: Mapping[str, list[Any] | tuple[float, float]], metrics: Sequence[str]
) -> None:
    """The columns of a search's HParams table: written once, at its root, never for a single run.

    Args:
        log_dir: The search's `tensorboard` directory.
        spans: What varies, by name: the list of its choices, or the two ends of its range.
        metrics: Tags that every session below has.
    """
    columns = [hparams.HParam(name, _domain(span)) for name, span in spans.items()]
    config = hparams.hparams_config_pb(columns, [hparams.Metric(tag) for tag in metrics])
    with _only(Path(log_dir), "experiment"):
        tf.summary.experimental.write_raw_pb(config.SerializeToString(), step=0)


def _domain(span: list[Any] | tuple[float, float]) -> Any:
    if isinstance(span, list):
        return hparams.Discrete(span)
    whole = all(isinstance(end, int) for end in span)
    return hparams.IntInterval(*span) if whole else hparams.RealInterval(*map(float, span))


def _plain(value: Any) -> bool | int | float | str:
    if isinstance(value, bool | int | float | str):
        return value
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


@contextlib.contextmanager
def _only(directory: Path, name: str) -> Iterator[None]:
    """Summaries inside go to one event file of this name; files of the same name from before are removed."""
    suffix = _suffix(name)
    for old in directory.glob(f"events.out.tfevents.*{suffix}"):
        old.unlink()
    writer = tf.summary.create_file_writer(os.fsencode(directory), filename_suffix=suffix)
    try:
        with writer.as_default():
            yield
    finally:
        writer.close()


def _suffix(name: str) -> str:
    return f".{re.sub(r'[^a-z0-9]+', '-', name.lower())}.v2"
