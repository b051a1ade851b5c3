"""A forked program is as a started one: what it sees, how it ends, and what is left when somebody is killed.

The servers here are forked from small processes without TensorFlow; `studies/test_local.py` has one with it.
"""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kerascnn.processes import choosing

pytestmark = pytest.mark.skipif(
    not choosing.may_fork(choosing.facts()._replace(imported=True, started=False, threads=())), reason="no forks here"
)

PROBE = """
import atexit, json, os, random, resource, signal, sys, threading
atexit.register(lambda: print("at exit", flush=True))
threading.Timer(0.2, lambda: print("a thread to the end", flush=True)).start()
path = [folder for folder in sys.path if os.path.isdir(folder)]
found = {
    "argv": sys.argv, "name": __name__, "main": sys.modules["__main__"].__name__, "path": path, "cwd": os.getcwd(),
    "environment": dict(os.environ), "input": sys.stdin.read(), "leader": os.getsid(0) == os.getpid() == os.getpgrp(),
    "descriptors": sorted(
        int(n) for n in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{n}")
    ),
    "signals": {int(s): str(signal.getsignal(s)) for s in signal.valid_signals() - {signal.SIGCHLD}},
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), "limits": [resource.getrlimit(n) for n in range(10)],
    "cores": sorted(os.sched_getaffinity(0)), "mask": os.umask(0o22), "threads": len(os.listdir("/proc/self/task")),
    "streams": [(s.encoding, s.errors, s.line_buffering) for s in (sys.stdin, sys.stdout, sys.stderr)],
    "nice": os.nice(0), "package": "kerascnn" in sys.modules,
}
print(json.dumps(found))
print("to standard error", file=sys.stderr)
os.write(int(sys.argv[2]), b"told")
"""
ASKS = """
import fcntl, json, os, subprocess, sys
from pathlib import Path
from kerascnn.processes.fork_server import ForkServer
from kerascnn.processes.starting import start

held = open("held.lock", "w")  # neither its descriptor nor its lock is handed on
fcntl.flock(held, fcntl.LOCK_EX)
os.chdir("/")  # the program gets the folder of the request
server = ForkServer.forked() if sys.argv[1] == "forked" else None
os.chdir(sys.argv[2])
read, write = os.pipe()
os.environ["ADDED"] = "caf\\udce9"
with open("errors.txt", "wb") as errors:
    child = start(
        [*sys.argv[3:], "--flag", str(write)], server=server, stdout=subprocess.PIPE, stderr=errors,
        environment=os.environ, numbers=(write,), without="kerascnn",
    )
    os.close(write)
    child.stdin.write(b"a word")
    child.stdin.close()
    out = child.stdout.read().decode()
    print(json.dumps([out, child.wait(), os.read(read, 10).decode(), Path("errors.txt").read_text()]))
"""


def asked(folder: Path, how: str, *command: str) -> list:
    (folder / "asks.py").write_text(ASKS)
    words = [sys.executable, "asks.py", how, str(folder), *command]
    found = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


@pytest.mark.parametrize("command", [("-m", "probe"), ("probe.py",)])
def test_it_sees_what_a_started_program_sees(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "probe.py").write_text(PROBE)
    forked, started = (asked(tmp_path, how, *command) for how in ("forked", "started"))
    mine, theirs = (json.loads(each[0].splitlines()[0]) for each in (forked, started))
    for each in (mine, theirs):  # the number of the pipe, which is free in one of them only by chance
        each["argv"].pop()
        each["descriptors"] = each["descriptors"][:3], len(each["descriptors"])
    assert mine == theirs
    assert mine["input"] == "a word"
    assert mine["leader"]
    assert not mine["package"]
    assert forked[0].splitlines()[1:] == ["a thread to the end", "at exit"]
    assert forked[1:] == started[1:] == [0, "told", "to standard error\n"]


ENDS = {
    "import sys; sys.exit(75)": 75,
    "import sys; sys.exit()": 0,
    "import sys; sys.exit('a reason')": 1,
    "raise KeyError('missing')": 1,
    "raise KeyboardInterrupt": -signal.SIGINT,
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)": -signal.SIGKILL,
    "import os; os._exit(3)": 3,
    "import os, signal; os.kill(os.getpid(), signal.SIGTERM)": -signal.SIGTERM,
}
ENDINGS = """
import json, os, subprocess, sys
from kerascnn.processes.fork_server import ForkServer
from kerascnn.processes.starting import start

server, found = ForkServer.forked(), []
for ending in json.loads(sys.argv[1]):
    with open("ends.py", "w") as file:
        file.write("import random; print(random.random(), flush=True)\\n" + ending)
    child = start(["ends.py"], server=server, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, environment=os.environ)
    found.append((child.stdout.readline().decode(), child.wait(), child.poll()))
print(json.dumps(found))
"""


def test_how_it_ends_is_known_and_its_random_numbers_are_its_own(tmp_path: Path) -> None:
    (tmp_path / "endings.py").write_text(ENDINGS)
    words = [sys.executable, "endings.py", json.dumps(list(ENDS))]
    found = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    numbers, codes, polled = zip(*json.loads(found.stdout), strict=True)
    assert codes == polled == tuple(ENDS.values())
    assert len(set(numbers)) == len(ENDS)


KILLS = """
import os, signal, subprocess, sys, time
from kerascnn.processes.fork_server import ForkServer
from kerascnn.processes.starting import lost, start

server = ForkServer.forked()
pid = "import os, sys; print(os.getpid(), flush=True); sys.stdin.read(); print('an end', flush=True)"
with open("waits.py", "w") as file:
    file.write(pid)

def waits():
    child = start(["waits.py"], server=server, stdout=subprocess.PIPE, stderr=None, environment=os.environ)
    assert int(child.stdout.readline()) == child.pid
    return child

first = waits()
assert os.getpgid(first.pid) == first.pid
if sys.argv[1] == "parent":
    print(server.process, first.pid, flush=True)
    time.sleep(60)
first.terminate()
assert first.wait() == -signal.SIGTERM
second = waits()
os.kill(server.process, signal.SIGKILL)
while not lost(second):
    assert second.poll() is None  # it continues
    time.sleep(0.01)
third = waits()
assert isinstance(third, subprocess.Popen)
second.stdin.close()
assert second.stdout.read() == b"an end\\n"
assert second.wait() == -signal.SIGKILL and lost(second)
third.kill()
assert third.wait() == -signal.SIGKILL and not lost(third)
server.close()
"""


def test_a_killed_server_loses_no_child_and_forks_no_more(tmp_path: Path) -> None:
    (tmp_path / "kills.py").write_text(KILLS)
    subprocess.run([sys.executable, "kills.py", "server"], cwd=tmp_path, check=True, timeout=60)


def test_a_killed_parent_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "kills.py").write_text(KILLS)
    words = [sys.executable, "kills.py", "parent"]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as parent:
        left = [int(word) for word in parent.stdout.readline().split()]
        assert all(map(runs, left))
        parent.kill()
    until = time.monotonic() + 30
    while any(map(runs, left)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(runs, left))


def runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
