"""Record a command on a terminal as asciicast v2 (asciinema's text format), or play such a recording.

    python -m experiments.phases.record OUT.cast COMMAND...
    python -m experiments.phases.record --play [--until SECONDS] [--fast] OUT.cast

OUT.cast plays with `asciinema play` too, and `--play --fast` shows at once what stood on the screen after `--until` seconds.
"""

from __future__ import annotations

import argparse
import codecs
import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

ROWS, COLUMNS = 32, 132
FRAME = 0.2  # seconds of output that are written as one: a bar is drawn several times a second


def record(out: Path, command: list[str]) -> int:
    """Run `command` on a terminal of its own; returns its exit code."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(ROWS)}
    start = time.monotonic()
    child = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with out.open("w", encoding="utf-8") as file:
        head = {"version": 2, "width": COLUMNS, "height": ROWS, "title": " ".join(command[1:])}
        file.write(json.dumps(head) + "\n")
        open_ended = True
        while open_ended:
            came, some = time.monotonic(), b""
            while time.monotonic() < came + FRAME and open_ended:
                if select.select([master], [], [], FRAME / 4)[0]:
                    try:
                        some += os.read(master, 65536)
                    except OSError:  # Linux says so that the other end has gone
                        open_ended = False
            if some:
                file.write(json.dumps([round(time.monotonic() - start, 2), "o", decoder.decode(some)]) + "\n")
    os.close(master)
    return child.wait()


def play(cast: Path, until: float, fast: bool) -> None:
    """Write what came in the first `until` seconds to this terminal."""
    _, *events = cast.read_text(encoding="utf-8").splitlines()
    before = 0.0
    for line in events:
        at, _, text = json.loads(line)
        if at > until:
            return
        if not fast:
            time.sleep(at - before)
            before = at
        sys.stdout.write(text)
        sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cast", type=Path)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    parser.add_argument("--play", action="store_true")
    parser.add_argument("--until", type=float, default=float("inf"))
    parser.add_argument("--fast", action="store_true")
    asked = parser.parse_args()
    if asked.play or not asked.command:
        play(asked.cast, asked.until, asked.fast)
        return 0
    return record(asked.cast, asked.command)


if __name__ == "__main__":
    sys.exit(main())
