"""TensorBoard's event files: one for each tag that is written once, and curves that are truncated when a run resumes.

Every record has its step. Records that are written once (graph, text, pictures, hyperparameters) are in one event file per
tag, which is replaced when they are written again. Curves are truncated to the checkpoint when a run resumes. Therefore no
step occurs twice.
"""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import tensorflow as tf

from kerascnn.runs.files import aside_of, replace, sync

TRAIN, VALIDATION, TEST, HPARAMS = "train", "validation", "test", "hparams"
# Folders of a split's records; those of train and val are beside the curves, as with Keras' own callback.
FOLDERS = {"train": TRAIN, "val": VALIDATION, "test": TEST}
COUNTED_ANEW = "kerascnn: epochs from 1"  # marks a file whose epochs were counted from 0


def prepare(log_dir: str | os.PathLike[str], step: int, epochs_done: int) -> None:
    """Truncates the curves to a checkpoint: `step_*` to its step, `epoch_*` to its epochs; other records stay.

    Event files with further records are rewritten aside and renamed. A record that a kill left incomplete ends its file.
    Epochs that an earlier version counted from 0 are counted from 1.
    """
    for split in (TRAIN, VALIDATION):
        paths = sorted((Path(log_dir) / split).glob("events.out.tfevents.*"))
        found = {path: read(path) for path in paths if not path.name.endswith(".profile-empty")}
        late = any(_from_zero(records) for records, _ in found.values())
        # The file with epoch 0 is the oldest: it comes last, so that the next start notices a kill in between.
        for path in reversed(found):
            cut(path, *found[path], step, epochs_done, late and not _counted_anew(found[path][0]))


def _from_zero(records: Sequence[bytes]) -> bool:
    events = map(tf.compat.v1.Event.FromString, records)
    return any(value.tag.startswith("epoch_") for event in events if not event.step for value in event.summary.value)


def _counted_anew(records: Sequence[bytes]) -> bool:
    return bool(records) and tf.compat.v1.Event.FromString(records[0]).source_metadata.writer == COUNTED_ANEW


def cut(path: Path, records: Sequence[bytes], whole: bool, step: int, epochs_done: int, late: bool) -> None:
    """Removes the records of one file after a checkpoint.

    Args:
        path: The file.
        records: Its records, as `read` returns them.
        whole: Whether these are all of its records.
        step: Optimizer steps at the checkpoint.
        epochs_done: Epochs at the checkpoint.
        late: Whether its epochs were counted from 0 and must be counted from 1.
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
    if len(kept) <= 1:  # only the version of the format
        path.unlink()
    elif changed:
        # TensorBoard reads all names that contain "tfevents".
        aside = aside_of(path.with_name(str(path.stat().st_ino)), keep_suffix=True)
        with tf.io.TFRecordWriter(str(aside)) as writer:
            for record in kept:
                writer.write(record)
        sync(aside)
        replace(aside, path)
    sync(path.parent)


def _stays(tag: str, at: int, step: int, epochs_done: int) -> bool:
    if tag.startswith(("step_", "batch_")):  # name in earlier versions
        return at <= step
    if tag.startswith("epoch_"):
        return at <= epochs_done
    return True


def read(path: Path) -> tuple[list[bytes], bool]:
    """Returns the records of an event file up to the first damaged one, and whether that was all."""
    records: list[bytes] = []
    try:
        records.extend(record.numpy() for record in tf.data.TFRecordDataset(str(path)))
    except tf.errors.DataLossError:
        return records, False
    return records, True


@contextlib.contextmanager
def only(directory: Path, name: str) -> Iterator[None]:
    """Writes the summaries of this context to one event file with this name, and removes earlier files with it."""
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
    """Returns the end of the name of the event file of `only`."""
    return f".{re.sub(r'[^a-z0-9]+', '-', name.lower())}.v2"
