"""Workers that meet, agree and part over sockets of this machine, in threads: who is missing, differs or is lost is named."""

import socket
import threading
import time

import pytest

from kerascnn.devices import joining, wire
from kerascnn.devices.cluster import Cluster
from kerascnn.devices.joining import join
from kerascnn.devices.team import ALONE, code_of
from kerascnn.errors import Stopped, TrainingFailed, UserError


def free_ports(count):
    opened = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in opened]
    for one in opened:
        one.close()
    return ports


def addresses(count):
    return tuple(f"127.0.0.1:{port}" for port in free_ports(count))


def together(bodies, workers=None, seconds=10.0):
    """What each body returns or raises, one per worker, each in a thread; None where a worker does not come."""
    workers = workers or addresses(len(bodies))
    results = [None] * len(bodies)

    def one(index):
        try:
            results[index] = bodies[index](join(Cluster(workers, index, "test"), seconds, lambda line: None))
        except BaseException as error:
            results[index] = error

    threads = [threading.Thread(target=one, args=(index,)) for index, body in enumerate(bodies) if body is not None]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return results


def test_three_workers_exchange_and_part():
    def body(team):
        found = team.gather(b"x" * team.index), team.largest(team.index), team.told(["from", team.index])
        team.agree("config", {"a": 1})
        big = team.from_chief(bytes(3 << 20) if team.chief else b"")
        team.end()
        return *found, len(big)

    assert together([body] * 3) == [([b"", b"x", b"xx"], 2, ["from", 0], 3 << 20)] * 3
    assert (ALONE.gather(b"a"), ALONE.largest(3), ALONE.told({"b": 1}), ALONE.chief) == ([b"a"], 3, {"b": 1}, True)


def test_differences_end_all_with_one_message():
    def body(team):
        team.agree("data and config", {"lr": 0.1, "seed": team.index, "data": "abc"})

    errors = together([body] * 3)
    assert {type(error) for error in errors} == {UserError}
    assert len({str(error) for error in errors}) == 1
    assert "seed: 0 for worker 0, 2 for worker 2" in str(errors[0])
    assert "lr" not in str(errors[0])


def test_who_does_not_come_is_named_within_the_time():
    start = time.monotonic()
    workers = addresses(3)
    errors = together([lambda team: team, lambda team: team, None], workers, seconds=1.0)
    assert time.monotonic() - start < 20
    for error in errors[:2]:
        assert isinstance(error, Stopped)
        assert error.code == 75
        assert f"worker 2 ({workers[2]}) did not" in str(error)


def test_a_chief_that_does_not_listen_is_named():
    workers = addresses(2)
    error = together([None, lambda team: team], workers, seconds=1.0)[1]
    assert isinstance(error, Stopped)
    assert f"the chief, worker 0 ({workers[0]}), could not be reached within 1 s" in str(error)


def test_a_lost_worker_and_one_that_leaves_are_named():
    def lost(team):
        team.peers[0].connection.shutdown(socket.SHUT_RDWR)  # as the kernel does for a killed process
        return "killed"

    def leaves(team):
        error = TrainingFailed("the loss is nan")
        team.leave(error, code_of(error))

    told = threading.Event()

    def stays(team):
        team.when_broken(lambda reason: told.set())
        team.gather(b"")

    for goes, kind, said in ((lost, Stopped, "was lost"), (leaves, TrainingFailed, "the loss is nan")):
        told.clear()
        chief, _, other = together([stays, goes, stays])
        for error in (chief, other):
            assert isinstance(error, kind), error
            assert str(error).startswith("worker 1 (127.0.0.1:")
            assert said in str(error)
        assert told.is_set()


def test_other_addresses_two_of_one_index_and_a_taken_port():
    workers, others = addresses(2), addresses(2)
    results = [None, None]

    def one(index, cluster):
        try:
            join(cluster, 5.0, lambda line: None)
        except BaseException as error:
            results[index] = error

    clusters = [Cluster(workers, 0, "test"), Cluster((workers[0], others[1]), 1, "test")]
    threads = [threading.Thread(target=one, args=pair) for pair in enumerate(clusters)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert {type(error) for error in results} == {UserError}
    assert "worker 1 was given other workers than worker 0" in str(results[1])
    with socket.create_server(("", int(workers[0].split(":")[1]))), pytest.raises(UserError, match="cannot be used"):
        join(Cluster(workers, 0, "test"), 0.5, lambda line: None)


def test_strangers_at_the_chief_s_port_are_sent_away():
    workers = addresses(2)

    def stranger():
        host, port = workers[0].split(":")
        for content in (b"GET / HTTP/1.1\r\n\r\n", b"", wire.MAGIC):
            with socket.create_connection((host, int(port)), timeout=5) as connection:
                connection.sendall(content)

    def follows():
        time.sleep(0.5)  # the chief listens
        stranger()
        return join(Cluster(workers, 1, "test"), 20.0, lambda line: None).end()

    thread = threading.Thread(target=follows)
    thread.start()
    join(Cluster(workers, 0, "test"), 20.0, lambda line: None).end()
    thread.join(30)
    assert not thread.is_alive()


def test_versions_name_this_program():
    assert set(joining.versions()) == {"Python", "tensorflow", "keras", "kerascnn"}
    assert joining.versions() == joining.versions()
