"""The listening socket, and a server that ends by a signal after it has answered what it took."""

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn
from fastapi import FastAPI

from kerascnn.errors import DONE, INTERRUPTED, UserError

_BACKLOG = 2048  # connections that the system holds until they are accepted


def bound(host: str, port: int) -> socket.socket:
    """Returns a socket that is bound but does not listen; raises UserError where the port is in use."""
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except (OSError, UnicodeError) as error:
        made.close()
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise UserError(f"cannot listen on {host}, port {port}: {reason}: choose another --port (0: any)") from None
    return made


class _EndingServer(uvicorn.Server):
    """Ends at SIGTERM or SIGINT, without sending the signal again afterwards."""

    interrupted = False

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens, then tells that it does."""
        await super().startup(sockets)
        for one in sockets or ():
            one.listen(_BACKLOG)
        if self.started:
            self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._end) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _end(self, number: int, frame: object) -> None:
        self.interrupted |= number == signal.SIGINT
        self.force_exit = self.should_exit and number == signal.SIGINT
        self.should_exit = True


def run(app: FastAPI, listening: socket.socket, seconds: float, ready: Callable[[], None]) -> int:
    """Serves until a signal, then finishes what it took within `seconds`; returns the exit code.

    Args:
        app: The application.
        listening: A bound socket, which other processes may accept from too.
        seconds: Time limit of a request.
        ready: Called once it listens.
    """
    config = uvicorn.Config(
        app,
        loop="asyncio",
        backlog=1,  # connections that asyncio accepts at once: more would leave other workers without any
        access_log=False,
        log_level="warning",
        ws="none",
        timeout_graceful_shutdown=int(seconds) + 1,
    )
    server = _EndingServer(config, ready)
    server.run([listening])
    return INTERRUPTED if server.interrupted else DONE
