"""Workers share jobs, and all of them end together."""

import threading
import time

import pytest

from kerascnn.architectures.counting import Counted
from kerascnn.errors import Stopped
from kerascnn.search.candidates import Budget
from kerascnn.studies import slots
from kerascnn.studies.executor import Slot
from kerascnn.studies.workers import WorkerPool


def test_every_worker_has_its_slot_and_all_jobs_are_done_once() -> None:
    left, done = list(range(20)), []
    turn = threading.Lock()

    def job(slot: Slot) -> bool:
        with turn:
            if not left:
                return False
            number = left.pop(0)
        time.sleep(0.01)
        done.append((number, slot.cpus))
        return True

    WorkerPool([Slot((0,)), Slot((1,))], threading.Event(), None).work(job)
    assert sorted(number for number, _ in done) == list(range(20))
    assert {cpus for _, cpus in done} == {(0,), (1,)}


def test_an_error_in_one_stops_the_others_and_is_raised() -> None:
    stop, begun = threading.Event(), threading.Barrier(2, timeout=5)

    def job(slot: Slot) -> bool:
        begun.wait()
        if slot.cpus == (0,):
            raise ValueError("one is broken")
        assert stop.wait(timeout=5)
        return True

    with pytest.raises(ValueError, match="one is broken"):
        WorkerPool([Slot((0,)), Slot((1,))], stop, None).work(job)


def test_ctrl_c_ends_all() -> None:
    stop, ended = threading.Event(), []

    def job(slot: Slot) -> bool:
        stop.wait(timeout=5)
        ended.append(slot)
        return True

    def tick() -> None:
        if not stop.is_set():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        WorkerPool([Slot((0,)), Slot((1,))], stop, None).work(job, tick)
    assert len(ended) == 2


def test_time_is_up() -> None:
    with pytest.raises(Stopped, match="time is up"):
        WorkerPool([Slot()], threading.Event(), 0.1).work(lambda slot: not time.sleep(0.05))


def test_nothing_begins_once_time_is_up() -> None:
    begun: list[Slot] = []
    with pytest.raises(Stopped, match="time is up"):
        WorkerPool([Slot()], threading.Event(), -1.0).work(lambda slot: begun.append(slot) or False)
    assert begun == []


def test_budget_is_the_largest_share() -> None:
    assert Budget(macs=20e6, params=1e6).excess(Counted(500_000, 30_000_000)) == 1.5
    assert Budget().excess(Counted(1, 1)) == 0
    assert slots.shared_out(1) == [Slot()]
