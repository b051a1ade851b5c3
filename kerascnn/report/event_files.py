"""TensorBoard's event files: one for each tag that is written once, and curves that are cut back when a run resumes.

Every record says its step. What is written once (graph, text, pictures, hyperparameters) lies in one event file per tag
and is replaced when it is written again; curves are cut back to the checkpoint when a run resumes. Hence no step is
there twice.
"""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import tensorflow as tf

from kerascnn.runs.files import sync

TRAIN, VALIDATION, TEST, HPARAMS = "train", "validation", "test", "hparams"
# Where a split's records go; those of train and val beside the curves that Keras' own callback would write.
FOLDERS = {"train": TRAIN, "val": VALIDATION, "test": TEST}
COUNTED_ANEW = "kerascnn: epochs from 1"  # the mark of a file whose epochs were counted from 0


def prepare(log_dir: str | os.PathLike[str], step: int, epochs_done: int) -> None:
    """Cut the curves back to a checkpoint: `step_*` to its step, `epoch_*` to its epochs; other records stay.

    Event files that hold more are written anew aside and renamed. A record that a kill left unfinished ends its file.
    Epochs that an earlier version counted from 0 are counted from 1 from here on.
    """
    for split in (TRAIN, VALIDATION):
        paths = sorted((Path(log_dir) / split).glob("events.out.tfevents.*"))
        found = {path: read(path) for path in paths if not path.name.endswith(".profile-empty")}
        late = any(_from_zero(records) for records, _ in found.values())
        # The file that holds epoch 0 is the oldest: it comes last, so that a kill in between is noticed at the next start.
        for path in reversed(found):
            cut(path, *found[path], step, epochs_done, late and not _counted_anew(found[path][0]))


def _from_zero(records: Sequence[bytes]) -> bool:
    events = map(tf.compat.v1.Event.FromString, records)
    return any(value.tag.startswith("epoch_") for event in events if not event.step for value in event.summary.value)


def _counted_anew(records: Sequence[bytes]) -> bool:
    return bool(records) and tf.compat.v1.Event.FromString(records[0]).source_metadata.writer == COUNTED_ANEW


def cut(path: Path, records: Sequence[bytes], whole: bool, step: int, epochs_done: int, late: bool) -> None:
    """Drops what one file holds beyond a checkpoint.

    Args:
        path: The file.
        records: Its records, as `read` returns them.
        whole: Whether these are all of them.
        step: Optimizer steps of the checkpoint.
        epochs_done: Epochs of the checkpoint.
        late: Whether its epochs were counted from 0, and are to be counted from 1.
    """
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


def read(path: Path) -> tuple[list[bytes], bool]:
    """The records of an event file up to the first damaged one, and whether that was all."""
    records: list[bytes] = []
    try:
        records.extend(record.numpy() for record in tf.data.TFRecordDataset(str(path)))
    except tf.errors.DataLossError:
        return records, False
    return records, True


@contextlib.contextmanager
def only(directory: Path, name: str) -> Iterator[None]:
    """Summaries inside go to one event file of this name; files of the same name from before are removed."""
    ending = suffix(name)
    for old in directory.glob(f"events.out.tfevents.*{ending}"):
        old.unlink()
    writer = tf.summary.create_file_writer(os.fsencode(directory), filename_suffix=ending)
    try:
        with writer.as_default():
            yield
    finally:
        writer.close()


def suffix(name: str) -> str:
    """The end of the name of the event file that `only` writes."""
    return f".{re.sub(r'[^a-z0-9]+', '-', name.lower())}.v2"
