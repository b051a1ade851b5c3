"""A tracker that is slow, down or broken: the training neither waits nor ends, and the records arrive when they can."""

import time

import pytest

from kerascnn.tracking import background
from kerascnn.tracking.background import Background
from kerascnn.tracking.tracker import Point, Tracker


class Recorder(Tracker):
    """Keeps what it is told; fails `failures` times first, and sleeps in each record."""

    name = "recorder"

    def __init__(self, failures: int = 0, seconds: float = 0.0, broken: bool = False) -> None:
        self.failures, self.seconds, self.broken = failures, seconds, broken
        self.told: list[str] = []
        self.steps: list[int] = []

    def start(self) -> None:
        self._tell("start")

    def points(self, points) -> None:
        self._tell("points")
        self.steps += [point.step for point in points]

    def config(self, text: str) -> None:
        self._tell("config")
        if self.broken:
            raise ValueError("never")

    def end(self, status: str) -> None:
        self._tell(status)

    def hopeless(self, error: Exception) -> bool:
        return self.broken

    def _tell(self, what: str) -> None:
        time.sleep(self.seconds)
        if self.failures:
            self.failures -= 1
            raise ConnectionError("nobody listens")
        self.told.append(what)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(background, "LITTLE_PATIENCE", 0.3)


def points(steps) -> list[Point]:
    return [Point("train", "epoch_loss", 1.0, step) for step in steps]


def test_records_keep_their_order_and_failures_are_tried_again() -> None:
    tracker, said = Recorder(failures=3), []
    told = Background(tracker, said.append)
    told.start()
    for step in range(50):
        told.points(points([step]))
    told.config("")
    told.end("finished")
    assert tracker.steps == list(range(50))
    assert tracker.told[0] == "start"
    assert tracker.told[-2:] == ["config", "finished"]
    assert len(said) == 1
    assert "nobody listens" in said[0]


def test_one_that_is_down_costs_no_time_and_one_note() -> None:
    tracker, said = Recorder(failures=10**9), []
    told = Background(tracker, said.append, room=20)
    begin = time.monotonic()
    told.start()
    for step in range(10_000):
        told.points(points([step]))
    taken = time.monotonic() - begin
    told.end("finished")
    assert taken < 2
    assert time.monotonic() - begin < 10
    assert len(said) == 2  # at the first failure, and what is missing at the end
    assert tracker.told == []


def test_one_that_hangs_is_given_up_at_the_end() -> None:
    said: list[str] = []
    told = Background(Recorder(seconds=60), said.append, patience=0.3)
    begin = time.monotonic()
    told.start()
    told.config("")
    told.end("finished")
    assert time.monotonic() - begin < 10
    assert len(said) == 1


def test_a_record_that_no_trial_helps_is_left_out() -> None:
    tracker, said = Recorder(broken=True), []
    told = Background(tracker, said.append)
    told.start()
    told.config("")
    told.points(points([1]))
    told.end("finished")
    assert tracker.steps == [1]
    assert tracker.told[-1] == "finished"
    assert "left out" in said[0]
    assert "1 records" in said[1]


def test_nothing_is_tried_where_the_start_cannot_succeed() -> None:
    class Locked(Recorder):
        def start(self) -> None:
            raise PermissionError("no account")

    tracker, said = Locked(broken=True), []
    told = Background(tracker, said.append)
    told.start()
    assert not told.wait_for_start(60)
    told.points(points([1]))
    told.end("finished")
    assert tracker.told == []
    assert "no account" in said[0]
    assert len(said) == 2
