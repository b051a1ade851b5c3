"""The three standard streams, made safe: open, able to encode any text, and allowed to lose their reader."""

import contextlib
import io
import os
import sys
from typing import TextIO

_MODES = {0: os.O_RDONLY, 1: os.O_WRONLY, 2: os.O_WRONLY}


def secure() -> None:
    """Opens closed streams, and escapes characters that a stream cannot encode.

    In a process that is started with a closed stream (`2>&-`), the next file that is opened would take its descriptor and
    receive the messages. Characters outside a terminal's encoding (ASCII, latin-1) are shown as escapes.
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
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - stays open as long as the process
    sys.stdout = sys.stdout or _to(1)
    sys.stderr = sys.stderr or _to(2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _to(number: int) -> TextIO:
    return open(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False)


def let_go(stream: TextIO) -> None:
    """Redirects a stream whose reader is gone to the null device: Python would report the error again at exit."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
