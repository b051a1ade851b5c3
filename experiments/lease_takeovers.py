"""Takes leases away from holders that are killed and frozen at random moments, and counts writes of two holders.

    python experiments/lease_takeovers.py [TAKEOVERS] [--output experiments/results/leases.md]

Each worker holds a folder until it is disturbed, and meanwhile counts in a file there: it reads n and writes n + 1, with the
means of the program (`runs.files.write_file`), and a pause between the check and the rename, where a freeze is worst. Two
writers would write one n twice, a generation out of order, or something else than what the holder has read last.

Way "heartbeat": workers are on different machines (each has another kernel) without flock; holders get SIGKILL or SIGSTOP, and
are thawed after up to five lives of a lease. Way "flock": one machine, SIGKILL. No TensorFlow.
"""

import argparse
import contextlib
import errno
import fcntl
import itertools
import json
import multiprocessing
import os
import platform
import random
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from kerascnn.errors import UserError
from kerascnn.runs import LeaseLost, hold, lease
from kerascnn.runs.files import write_file

TTL = 0.2
WORKERS = 4
PAUSE = 0.004


def work(folder: Path, logs: Path, way: str) -> None:
    """Holds the folder again and again, and counts in it."""
    random.seed()
    if way == "heartbeat":
        lease.kernel = lambda: str(os.getpid())  # type: ignore[assignment]

        def flock(descriptor: int, operation: int) -> None:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        fcntl.flock = flock  # type: ignore[assignment]
    rename = Path.replace

    def late(self: Path, target: Path) -> Path:
        time.sleep(random.random() * PAUSE)
        return rename(self, target)

    Path.replace = late  # type: ignore[assignment]
    with (logs / f"{os.getpid()}.jsonl").open("a", buffering=1) as log:

        def tell(**event: Any) -> None:
            log.write(json.dumps({"at": time.monotonic(), **event}) + "\n")

        while True:
            with contextlib.suppress(UserError):
                try:
                    with hold(folder, "folder", ttl=TTL) as held:
                        tell(event="held", generation=held.generation)
                        count(folder, held, tell)
                except LeaseLost:
                    tell(event="lost")
            time.sleep(random.random() * TTL / 10)


def count(folder: Path, held: lease.Lease, tell: Any) -> None:
    """Counts until the lease is lost."""
    file, mine = folder / "count.json", b""
    while True:
        found = file.read_bytes() if file.exists() else b"[0, 0]"
        if mine and found != mine:
            held.check()  # whoever has followed may have written
            tell(event="fault", why=f"{held.generation} wrote {mine!r} and finds {found!r}")
        generation, n = json.loads(found)
        if generation > held.generation:
            held.check()
            tell(event="fault", why=f"{held.generation} finds {found!r}")
        mine = json.dumps([held.generation, n + 1]).encode()
        write_file(file, mine)
        tell(event="wrote", generation=held.generation, n=n + 1)


def disturb(folder: Path, logs: Path, way: str, takeovers: int) -> dict[str, Any]:
    """Kills and freezes holders until there were so many takeovers; returns what happened."""
    context = multiprocessing.get_context("fork")
    workers: dict[int, Any] = {}
    frozen: dict[int, float] = {}
    done = {"SIGKILL": 0, "SIGSTOP": 0, "thawed after it was followed": 0}
    waits: list[float] = []

    def begin() -> None:
        process = context.Process(target=work, args=(folder, logs, way), daemon=True)
        process.start()
        assert process.pid
        workers[process.pid] = process

    def thaw(now: float) -> None:
        for pid in [pid for pid, until in frozen.items() if until < now]:
            del frozen[pid]
            seen = lease._newest(folder)
            done["thawed after it was followed"] += seen is not None and f'"process": {pid},' not in str(seen.content)
            os.kill(pid, signal.SIGCONT)

    try:
        last, disturbed = b"", 0.0
        while len(waits) < takeovers:
            while len(workers) - len(frozen) < WORKERS - 1:
                begin()
            thaw(time.monotonic())
            seen = lease._newest(folder)
            holder = json.loads(seen.content)["process"] if seen and seen.content else 0
            if seen is None or holder not in workers or holder in frozen:
                time.sleep(0.003)
                continue
            if disturbed and seen.content != last:  # else it was thawed before anybody followed
                waits.append(time.monotonic() - disturbed)
            time.sleep(random.random() * 0.05)
            last = seen.content
            if way == "flock" or random.random() < 0.4:
                os.kill(holder, signal.SIGKILL)
                workers.pop(holder).join()
                done["SIGKILL"] += 1
            else:
                os.kill(holder, signal.SIGSTOP)
                frozen[holder] = time.monotonic() + random.random() * 5 * TTL
                done["SIGSTOP"] += 1
            disturbed = time.monotonic()
        time.sleep(TTL)
    finally:
        for pid, process in workers.items():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            process.join()
    return {**done, "waits": waits, **judged(logs)}


def judged(logs: Path) -> dict[str, Any]:
    """Returns what the workers' logs say: holders, writes, and faults."""
    events = [json.loads(line) for file in logs.iterdir() for line in file.read_text().splitlines() if line[-1:] == "}"]
    wrote = sorted((e["n"], e["generation"]) for e in events if e["event"] == "wrote")
    held = [e["generation"] for e in events if e["event"] == "held"]
    faults = [e["why"] for e in events if e["event"] == "fault"]
    faults += [f"{a} and {b}" for a, b in itertools.pairwise(wrote) if a[0] == b[0] or a[1] > b[1]]
    faults += [f"generation {g} twice" for g in set(held) if held.count(g) > 1]
    lost = sum(e["event"] == "lost" for e in events)
    return {"holders": len(set(held)), "writes": len(wrote), "lost": lost, "faults": faults}


def file_system() -> str:
    """Returns the kind of file system that holds the folders."""
    asked = ["stat", "-f", "-c", "%T", tempfile.gettempdir()]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    """Runs both ways and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("takeovers", type=int, nargs="?", default=1000)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    random.seed(given.seed)
    rows = []
    for way in ("heartbeat", "flock"):
        with tempfile.TemporaryDirectory() as place:
            logs = Path(place, "logs")
            logs.mkdir()
            began = time.monotonic()
            found = disturb(Path(place, "folder"), logs, way, given.takeovers)
            waits = sorted(found["waits"])
            rows.append(
                f"| {way} | {given.takeovers} | {found['SIGKILL']} | {found['SIGSTOP']} |"
                f" {found['thawed after it was followed']} | {found['lost']} | {found['writes']} |"
                f" {median(waits):.2f} / {waits[-1]:.2f} s | {len(found['faults'])} | {time.monotonic() - began:.0f} s |"
            )
            print(rows[-1], *found["faults"][:5], sep="\n", flush=True)
    head = (
        "| way | takeovers | SIGKILL | SIGSTOP | thawed after it was followed | LeaseLost | writes | followed after"
        " (median / longest) | two writers | time |\n|---|---|---|---|---|---|---|---|---|---|\n"
    )
    if given.output:
        given.output.write_text(
            f"# Takeovers of leases\n\n`python experiments/lease_takeovers.py {given.takeovers} --output {given.output}`\n\n"
            f"{WORKERS} workers on {platform.machine()}, {os.cpu_count()} cores of a shared machine, {file_system()}. A lease"
            f" lives {TTL} s here, and 60 s in the program. All holders count in one file, with a pause between check and rename."
            " Two writers would write one number twice, an earlier generation after a later one, or find what they did not"
            " write.\n\n"
            f"Way heartbeat: as if on several machines, without flock. Way flock: one machine.\n\n{head}"
            + "\n".join(rows)
            + "\n"
        )


if __name__ == "__main__":
    main()
