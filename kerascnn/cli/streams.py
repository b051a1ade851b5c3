"""The three standard streams, made safe to use: open, able to take any text, and allowed to lose their reader."""

import contextlib
import io
import os
import sys
from typing import TextIO

_MODES = {0: os.O_RDONLY, 1: os.O_WRONLY, 2: os.O_WRONLY}


def secure() -> None:
    """Open what is closed, and let no character be an error.

    A process that is started with a closed stream (`2>&-`) would give its number to the next file that it opens, and write
    messages there. Text that a terminal's encoding lacks (ASCII, latin-1) is shown as an escape.
    """
    for number, mode in _MODES.items():
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, mode)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - a descriptor, for the process' life
    sys.stdout = sys.stdout or _to(1)
    sys.stderr = sys.stderr or _to(2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _to(number: int) -> TextIO:
    return open(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False)


def let_go(stream: TextIO) -> None:
    """Write to nowhere from here on: the stream's reader has gone, and Python would complain again at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
