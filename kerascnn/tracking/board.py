"""TensorBoard as a tracker: event files in the run's directory, written at once."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kerascnn.cli.escaping import one_line
from kerascnn.report import event_files, tensorboard
from kerascnn.tracking.tracker import Point, Subject, Tracker


class Board(Tracker):
    """Event files below `tensorboard/`.

    Records are flushed when they are written, so that a later checkpoint never knows more than the event files.

    Args:
        subject: The run.
    """

    name = "tensorboard"

    def __init__(self, subject: Subject) -> None:
        self.log_dir, self.run_name = subject.folder / "tensorboard", subject.name
        self._writers: dict[str, tf.summary.SummaryWriter] = {}

    def begin(self, step: int, epochs_done: int) -> None:
        """See `Tracker`, here and below."""
        event_files.prepare(self.log_dir, step, epochs_done)

    def points(self, points: Sequence[Point]) -> None:
        for split in dict.fromkeys(point.split for point in points):
            if split not in self._writers:
                self._writers[split] = tf.summary.create_file_writer(os.fsencode(self.log_dir / split))
            with self._writers[split].as_default():  # flushes when it is left
                for point in points:
                    if point.split == split:
                        tf.summary.scalar(point.tag, point.value, step=point.step)

    def pause(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def config(self, text: str) -> None:
        tensorboard.write_config(self.log_dir, f"```toml\n{text}```")

    def graph(self, network: keras.Model, graph: tf.Graph) -> None:
        tensorboard.write_graph(self.log_dir, network, graph)

    def images(self, split: str, pngs: Mapping[str, bytes]) -> None:
        tensorboard.write_images(self.log_dir, split, pngs)

    def values(self, values: Mapping[str, Any], scores: Mapping[str, float] | None = None) -> None:
        tensorboard.write_hparams(self.log_dir, one_line(self.run_name), values, scores)

    def files(self, paths: Sequence[Path]) -> None:
        """Does nothing: the files lie beside the event files."""
