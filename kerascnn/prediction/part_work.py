"""Predicts the parts of a folder, each under a lease, so that any number of processes may share them."""

from __future__ import annotations

import errno
import functools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from kerascnn.artefacts import Predictor
from kerascnn.artefacts.decoding import Item, Stored
from kerascnn.artefacts.predictor import Prediction
from kerascnn.cli.escaping import one_line
from kerascnn.cli.progress import SILENT, Phase
from kerascnn.data.listed_image import ListedImage
from kerascnn.data.trouble import SYSTEM, gone
from kerascnn.data.unlabeled import ListedBytes, Told
from kerascnn.errors import Stopped
from kerascnn.prediction import rows
from kerascnn.prediction.part_files import FORMATS, PartColumns
from kerascnn.prediction.part_tally import Tally, peak_memory
from kerascnn.prediction.parts_job import PartsJob
from kerascnn.prediction.predict_flags import Predict
from kerascnn.runs import Busy, LeaseLost, hold
from kerascnn.runs.lease import Lease
from kerascnn.runs.lease_files import live_holder
from kerascnn.scoring.prediction_sets import SetRule

AHEAD = 3  # batches that are decoded ahead
LOOK = 1.0  # seconds between two looks at parts that others work on
FEW = 100  # images: a part of fewer may consist of missing files
_AWAY = frozenset(os.strerror(number) for number in SYSTEM)
_MISSING = os.strerror(errno.ENOENT)


class PartWork:
    """Predicts parts.

    Args:
        job: The folder.
        predictor: The network; with --reject-unknown one that tells unknown images.
        rule: The rule of prediction sets, or None.
        asked: The flags.
    """

    def __init__(self, job: PartsJob, predictor: Predictor, rule: SetRule | None, asked: Predict) -> None:
        self.job, self.predictor, self.rule, self.asked = job, predictor, rule, asked
        self.tally = Tally()
        self._bytes = ListedBytes(Told(asked.many.image_column, asked.many.image_key))
        self._columns = PartColumns.of(asked, len(predictor.class_names), predictor.task.several)

    def warm(self) -> None:
        """Traces and compiles what reads images and the network, so that the first part is measured like the others."""
        blank = np.zeros((9, 9, 3), np.uint8)
        contents = [encode(blank).numpy() for encode in (tf.io.encode_jpeg, tf.io.encode_png)]
        items = [Stored("", functools.partial(bytes, content)) for content in contents]
        for _ in self.predictor.predictions(items * self.asked.batch_size, self.asked.batch_size):
            pass

    def work(
        self,
        order: Sequence[int],
        say: Callable[[str], None],
        phase: Phase = SILENT.phase(""),  # noqa: B008 - shows nothing
    ) -> Tally:
        """Predicts the parts that nobody else does, and waits for those that others do; returns what was done.

        Args:
            order: Numbers of parts, in the order in which they are tried.
            say: Called with lines for people.
            phase: Counts images.
        """
        left, told, stuck = [number for number in order if not self.job.has(number)], False, False
        while left:
            before = len(left)
            for number in list(left):
                if self.job.has(number) or self._one(number, say, phase, careful=stuck):
                    left.remove(number)
            stuck = len(left) == before
            if stuck:
                if not told:
                    say(f"waits   for {len(left)} parts that other processes work on")
                told = True
                time.sleep(LOOK)
        self.tally.memory = peak_memory()
        return self.tally

    def _one(self, number: int, say: Callable[[str], None], phase: Phase, careful: bool) -> bool:
        """Predicts a part unless somebody else does; returns whether it is whole.

        Args:
            number: The part.
            say: Called with lines for people.
            phase: Counts images.
            careful: Whether a holder that seems to live is watched.
        """
        folder = self.job.work_folder(number)
        if not careful and live_holder(folder) is not None:
            return False
        try:
            with hold(folder, f"part {number}", say=say) as lease:
                if not self.job.has(number):
                    self._predict(number, lease, phase)
                self.job.leave(number, lease)
        except Busy:
            return False
        except LeaseLost as error:  # this process was frozen: the part is another's now
            say(str(error))
            return False
        return True

    def _predict(self, number: int, lease: Lease, phase: Phase) -> None:
        began, bad, missing = time.monotonic(), 0, 0
        listed = self.job.listed(number)
        with (
            self.job.writing(number, lease) as aside,
            FORMATS[self.asked.many.format].writing(aside, self._columns) as add,
        ):
            for image, found in self._predictions(listed):
                prediction, problem = None, found.problem or ""
                if found.probabilities is None:
                    bad, missing = bad + 1, missing + (problem == _MISSING)
                    _check_there(image, problem)
                else:
                    given = (image.name, found.probabilities, found.further)
                    prediction, _ = rows.of_image(self.predictor, self.asked, self.rule, *given)
                add(image.name, prediction, problem)
                phase.advance()
            if missing == len(listed) >= FEW:
                raise Stopped(
                    f"none of the {len(listed):,} images of part {number} is there, the first is"
                    f" {one_line(listed[0].file or listed[0].name)}: is a disk or a network share away?"
                    " Once they are back, the same command continues"
                )
        self.tally.add(Tally(1, len(listed), bad, time.monotonic() - began))

    def _predictions(self, listed: Sequence[ListedImage]) -> Iterator[tuple[ListedImage, Prediction]]:
        found = self.predictor.predictions(
            map(self._item, listed), self.asked.batch_size, ahead=AHEAD, waited=self._waited
        )
        yield from zip(listed, found, strict=True)

    def _item(self, image: ListedImage) -> Item:
        return Stored(image.name, self._bytes.of(image)) if image.at else Path(image.file or image.name)

    def _waited(self, seconds: float) -> None:
        self.tally.waited += seconds


def _check_there(image: ListedImage, problem: str) -> None:
    """Raises Stopped if an image is not to blame: the disk or the network share fails."""
    if problem in _AWAY:
        raise Stopped(gone([(image.name, problem)]))


def order_of(count: int, index: int, shards: int, worker: int = 0, workers: int = 1) -> list[int]:
    """Returns the parts of a shard in the order of one of several workers: its own share first, then what is left.

    Args:
        count: Number of parts.
        index, shards: The shard: every `shards`-th part from `index` on.
        worker, workers: The worker: every `workers`-th part of the shard comes first.
    """
    mine = range(index, count, shards)
    own = mine[worker::workers]
    return [*own, *(number for number in mine if number not in own)]
