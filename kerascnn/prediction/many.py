"""`kerascnn predict --output DIR`: predictions of many images in parts, and `--merge DIR`, which joins them. No TensorFlow."""

from __future__ import annotations

import contextlib
import shlex
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kerascnn.cli.escaping import one_line
from kerascnn.cli.screen import Screen, quiet
from kerascnn.errors import DONE, CheckFailed, Stopped, UserError
from kerascnn.prediction.parts_job import PartsJob
from kerascnn.prediction.predict_flags import ManyImages, PartPlacement, Predict
from kerascnn.studies.executor import Slot
from kerascnn.studies.workers import WorkerPool

if TYPE_CHECKING:
    from kerascnn.artefacts import Predictor
    from kerascnn.data.listed_image import ListedImage
    from kerascnn.scoring.prediction_sets import SetRule

# Flags of one image at a time, which print or copy.
_ALONE = ("as_json", "as_csv", "cam", "sort_into")
_NAMES = {"as_json": "--json", "as_csv": "--csv"}


def check(asked: Predict) -> None:
    """Checks the flags before anything is loaded.

    Raises:
        UserError: They contradict each other.
    """
    many = asked.many
    if many.output is None:
        for name, field in ManyImages.model_fields.items():
            if getattr(many, name) != field.default and name != "merge":
                raise UserError(f"{_flag(name)} is for many images in parts: give --output DIR as well")
        if asked.placement != PartPlacement():
            raise UserError("--executor and --workers are for many images in parts: give --output DIR as well")
        return
    for name in _ALONE:
        if getattr(asked, name):
            raise UserError(
                f"{_flag(name)} is for images one by one, and --output writes parts of a table (--format csv or parquet):"
                " give one of the two"
            )


def _flag(name: str) -> str:
    return _NAMES.get(name, f"--{name.replace('_', '-')}")


def run(asked: Predict, argv: Sequence[str], predictor: Predictor, rule: SetRule | None, screen: Screen) -> int:
    """Predicts the parts that are left; returns the exit code.

    Args:
        asked: The flags, with `artefact` as a path.
        argv: The words of the command line.
        predictor: The network.
        rule: The rule of prediction sets, or None.
        screen: Shows phases and lines.
    """
    assert asked.many.output is not None
    job = PartsJob(asked.many.output)
    with _telling_how_to_go_on(job, argv):
        new = _pinned(job, asked, argv, predictor, rule, screen)
        index, shards = asked.many.share
        mine = range(index, job.count, shards)
        done = set(job.done())
        left = [number for number in mine if number not in done]
        images = sum(map(job.size, left))
        where = "" if shards == 1 else f" of shard {asked.many.shard}"
        screen.say(
            f"{'lists' if new else 'finds':<7} {job.images:,} images in {job.count} parts; to do{where}: {len(left)} parts,"
            f" {images:,} images"
        )
        if not asked.many.dry_run:
            _work(job, asked, argv, predictor, rule, screen, images)
    if len(done) < job.count:
        done = set(job.done())
    if not asked.many.dry_run and len(done) == job.count:
        screen.say(f"join the parts: kerascnn predict --merge {shlex.quote(str(job.path))}")
    return DONE


def _work(
    job: PartsJob,
    asked: Predict,
    argv: Sequence[str],
    predictor: Predictor,
    rule: SetRule | None,
    screen: Screen,
    images: int,
) -> None:
    from kerascnn.prediction import part_work

    if asked.placement.executor != "local" or asked.placement.workers > 1:
        screen.say(f"done    {_spread(job, asked, argv, screen, images)}")
        return
    work = part_work.PartWork(job, predictor, rule, asked)
    if images:
        with quiet(), screen.phase("starting the network", told=False):
            work.warm()
    with screen.phase("predicting", images, told=False) as phase:
        tally = work.work(part_work.order_of(job.count, *asked.many.share), screen.say, phase)
    screen.say(f"done    {tally.summary()}")


def _spread(job: PartsJob, asked: Predict, argv: Sequence[str], screen: Screen, images: int) -> str:
    """Has the executor's workers predict the parts; returns what they have done as text."""
    from kerascnn.prediction import part_call
    from kerascnn.prediction.part_tally import Tally
    from kerascnn.studies.placement import executor_of

    workers, stop, turn = asked.placement.workers, threading.Event(), threading.Lock()
    numbers, tally = iter(range(workers if images else 0)), Tally()
    began = time.monotonic()
    before = sum(map(job.size, job.done()))
    with (
        contextlib.closing(executor_of(asked.placement, screen, None)) as executor,
        screen.phase("predicting", images, told=False) as phase,
    ):

        def one(slot: Slot) -> bool:
            with turn:
                number = next(numbers, None)
            if number is None:
                return False
            call = part_call.work, list(argv), asked.artefact, number, workers
            found = executor.spread(*call, slot=slot, stop=stop)
            with turn:
                tally.add(found)
            return True

        WorkerPool(executor.slots, stop, None).work(one, lambda: phase.reach(sum(map(job.size, job.done())) - before))
    return tally.summary(time.monotonic() - began)


@contextlib.contextmanager
def _telling_how_to_go_on(job: PartsJob, argv: Sequence[str]) -> Iterator[None]:
    """Says after a stop how many parts are whole, and the command that continues."""
    try:
        yield
    except (KeyboardInterrupt, Stopped, OSError):
        with contextlib.suppress(OSError, UserError):
            if job.pinned:
                print(
                    f"kerascnn: {len(job.done())} of {job.count} parts are whole in {one_line(str(job.path))};"
                    f" this goes on: {_command(argv)}",
                    file=sys.stderr,
                )
        raise


def _command(argv: Iterable[str]) -> str:
    return shlex.join(["kerascnn", "predict", *argv])


def _pinned(
    job: PartsJob,
    asked: Predict,
    argv: Sequence[str],
    predictor: Predictor,
    rule: SetRule | None,
    screen: Screen,
) -> bool:
    """Makes the folder belong to the command's network, images and flags; returns whether it is new."""
    from kerascnn.prediction.model_digest import terms_of

    terms = terms_of(asked, predictor, rule)
    with screen.phase("listing the images") as phase:

        def listing() -> Iterator[ListedImage]:
            return phase.over(_images(asked, screen, job.path))

        without = [word for word in _without_shard(argv) if word != "--dry-run"]
        return job.pin(
            terms,
            listing if asked.images else None,
            _command(without),
            waiting=lambda holder: screen.say(f"waits   {holder}"),
        )


def _without_shard(argv: Sequence[str]) -> list[str]:
    words = iter(argv)
    found = []
    for word in words:
        if word == "--shard":
            next(words, None)
        elif not word.startswith("--shard="):
            found.append(word)
    return found


def _images(asked: Predict, screen: Screen, output: Path) -> Iterator[ListedImage]:
    """Yields the images of the command line.

    Raises:
        UserError: A folder or a pattern has none, or a folder cannot be opened: the list would not be whole.
    """
    from kerascnn.data import unlabeled

    def refuse(word: str, problem: str) -> None:
        raise UserError(f"{one_line(word)}: {one_line(problem)}")

    def note(folder: str, why: str) -> None:
        screen.say(f"skips   {one_line(folder)}: {why}")

    told = unlabeled.Told(asked.many.image_column, asked.many.image_key)
    stdin = getattr(sys.stdin, "buffer", None)
    return unlabeled.images(asked.images, told, refuse, note=note, stdin=stdin, leave_out=[output])


def merge_alone(asked: Predict, argv: Sequence[str]) -> int:
    """Runs `kerascnn predict --merge DIR`; returns the exit code.

    Raises:
        UserError: There are other words than these two.
    """
    assert asked.many.merge is not None
    if len(argv) > 2:
        raise UserError("--merge joins the parts in a folder, and takes nothing else: kerascnn predict --merge DIR")
    return merge(asked.many.merge, Screen())


def merge(folder: Path, screen: Screen) -> int:
    """Joins the parts of a folder into one file beside them; returns the exit code.

    Raises:
        CheckFailed: Parts are missing; names them, and the command that makes them.
        UserError: It is no such folder, or a part is damaged.
    """
    from kerascnn.prediction.part_files import FORMATS

    job = PartsJob(folder)
    whole = set(job.done())
    missing = [number for number in range(job.count) if number not in whole]
    if missing:
        images = sum(map(job.size, missing))
        raise CheckFailed(
            f"{len(missing)} of {job.count} parts are missing in {one_line(str(folder))}, {images:,} images:"
            f" {_ranges(missing)}. This makes them: {job.kept['command']}"
        )
    kind = job.kept["terms"]["format"]
    target = folder / f"predictions.{kind}"
    with screen.phase(f"joining {job.count} parts"):
        parts = [(job.part_file(number), job.size(number)) for number in range(job.count)]
        joined = FORMATS[kind].join(parts, target)
    bad = f", {joined.bad:,} of them of images that could not be used" if joined.bad else ""
    screen.say(f"joined  {job.count} parts: {joined.rows:,} rows{bad}, in {one_line(str(target))}")
    return DONE


def _ranges(numbers: Sequence[int], most: int = 10) -> str:
    """Returns numbers as text, `0-2, 7`; of many ranges the first ones."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    shown = [str(a) if a == b else f"{a}-{b}" for a, b in ranges[:most]]
    return ", ".join(shown) + (" and others" if len(ranges) > most else "")
