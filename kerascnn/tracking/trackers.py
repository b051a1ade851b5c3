"""The trackers of one run or study, from its start to its end."""

import contextlib
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kerascnn.config import Logging
from kerascnn.errors import Stopped
from kerascnn.tracking import TRACKERS, check
from kerascnn.tracking.background import Background
from kerascnn.tracking.tracker import FAILED, FINISHED, STOPPED, STUDY, TRAINING, Subject, Tracker

START_SECONDS = 20.0  # a study waits for its trackers, so that its runs find it


class Trackers(list[Tracker]):
    """Trackers that are told the same; see `Tracker` for what the methods mean."""

    finished = False  # whether the run has its scores: the status at the end

    def config(self, text: str) -> None:
        """See `Tracker`, here and below."""
        for tracker in self:
            tracker.config(text)

    def graph(self, network: Any, graph: Any) -> None:
        for tracker in self:
            tracker.graph(network, graph)

    def images(self, split: str, pngs: Mapping[str, bytes]) -> None:
        for tracker in self:
            tracker.images(split, pngs)

    def values(self, values: Mapping[str, Any], scores: Mapping[str, float] | None = None) -> None:
        for tracker in self:
            tracker.values(values, scores)

    def files(self, paths: Sequence[Path]) -> None:
        there = [path for path in paths if path.exists()]
        for tracker in self:
            tracker.files(there)

    def model(self, version: Path) -> None:
        for tracker in self:
            tracker.model(version)

    def end(self, status: str) -> None:
        for tracker in self:
            tracker.end(status)


def build(logging: Logging, subject: Subject, say: Callable[[str], None]) -> Trackers:
    """Returns the trackers of --track for a subject; all but TensorBoard write in the background."""
    check(logging.track)
    found = Trackers()
    for name in dict.fromkeys(logging.track):
        module, kind, _ = TRACKERS[name]
        tracker = getattr(importlib.import_module(module), kind)(subject)
        found.append(tracker if name == "tensorboard" else Background(tracker, say))
    return found


@contextlib.contextmanager
def opened(logging: Logging, name: str, folder: Path, say: Callable[[str], None]) -> Iterator[Trackers]:
    """Yields the trackers of a run whose directory is held; ends them however the training ends."""
    yield from _told(build(logging, Subject(name, folder, TRAINING, logging.track_group), say))


@contextlib.contextmanager
def of_study(logging: Logging, group: str | None, folder: Path, say: Callable[[str], None]) -> Iterator[Trackers]:
    """Yields the trackers of a comparison or search, to which its runs belong; none without a group."""
    without = logging.model_copy(update={"track": tuple(name for name in logging.track if name != "tensorboard")})
    if group is None:
        yield Trackers()
        return
    trackers = build(without, Subject(group, folder, STUDY, group), say)
    yield from _told(trackers, START_SECONDS)


def _told(trackers: Trackers, wait: float = 0.0) -> Iterator[Trackers]:
    for tracker in trackers:
        tracker.start()
    for tracker in trackers:
        if wait and isinstance(tracker, Background):
            tracker.wait_for_start(wait)
    status = FAILED
    try:
        yield trackers
        status = FINISHED if trackers.finished else STOPPED
    except (Stopped, KeyboardInterrupt):
        status = STOPPED
        raise
    finally:
        trackers.end(status)
