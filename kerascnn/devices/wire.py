"""Messages between two workers over TCP: kinds, frames, signs of life, and lists of bytes. No TensorFlow.

A frame is a byte for its kind, its length as eight bytes, and its content. Nothing is executed or unpickled.
"""

import contextlib
import queue
import socket
import struct
import threading
from collections.abc import Callable, Sequence

MAGIC = b"kerascnn-workers-1"
HELLO, VALUE, LEAVE, ALIVE = b"H", b"V", b"L", b"A"
_HEAD = struct.Struct(">cQ")
_CHUNK = 1 << 20  # bytes per call: a time limit is for each of them
LARGEST = 1 << 36  # bytes of a frame
SILENCE, BEAT = 60.0, 5.0  # seconds without a sign of life after which a worker is lost, and between two signs


class Broken(ConnectionError):
    """The other side is gone, or does not speak this protocol."""


def send(to: socket.socket, kind: bytes, content: bytes = b"") -> None:
    """Sends one frame."""
    to.sendall(_HEAD.pack(kind, len(content)))
    view = memoryview(content)
    for start in range(0, len(content), _CHUNK):
        to.sendall(view[start : start + _CHUNK])


def receive(given: socket.socket, largest: int = LARGEST) -> tuple[bytes, bytes]:
    """Returns kind and content of the next frame.

    Raises:
        Broken: The connection has ended, was silent for its time limit, or what came is not a frame.
    """
    try:
        kind, length = _HEAD.unpack(_exactly(given, _HEAD.size))
        if kind not in (HELLO, VALUE, LEAVE, ALIVE) or length > largest:
            raise Broken("what answers there is not a worker of kerascnn that waits for others")
        return kind, bytes(_exactly(given, length))
    except TimeoutError:
        raise Broken(f"no sign of life for {given.gettimeout() or 0:.0f} seconds") from None
    except OSError as error:
        if isinstance(error, Broken):
            raise
        raise Broken(error.strerror or str(error)) from None


def _exactly(given: socket.socket, count: int) -> bytearray:
    content = bytearray(count)
    view, at = memoryview(content), 0
    while at < count:
        got = given.recv_into(view[at:], min(count - at, _CHUNK))
        if not got:
            raise Broken("its connection has ended")
        at += got
    return content


def packed(values: Sequence[bytes]) -> bytes:
    """Returns several contents as one."""
    return b"".join(part for value in values for part in (struct.pack(">Q", len(value)), value))


def unpacked(content: bytes) -> list[bytes]:
    """Returns the contents of `packed`."""
    found, at = [], 0
    while at < len(content):
        (length,) = struct.unpack_from(">Q", content, at)
        found.append(content[at + 8 : at + 8 + length])
        at += 8 + length
    return found


class Peer:
    """The connection to another worker: values come in order, and two threads watch it.

    Args:
        connection: The open connection.
        left: Called in a thread once the other side says that it leaves (its text), or is gone (None and the reason).
    """

    def __init__(self, connection: socket.socket, left: Callable[[bytes | None, str], None]) -> None:
        self.connection, self._left = connection, left
        connection.settimeout(SILENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.values: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._turn, self._over = threading.Lock(), threading.Event()
        for target in (self._read, self._beat):
            threading.Thread(target=target, daemon=True).start()

    def send(self, kind: bytes, content: bytes = b"") -> None:
        """Sends a frame; if the other side is gone, the reading thread says so."""
        with self._turn, contextlib.suppress(OSError):
            send(self.connection, kind, content)

    def wake(self) -> None:
        """Ends the wait for a value."""
        self.values.put(None)

    def close(self) -> None:
        """Ends the connection; what was sent before arrives."""
        self._over.set()
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)

    def _read(self) -> None:
        try:
            while True:
                kind, content = receive(self.connection)
                if kind == LEAVE:
                    self._left(content, "")
                    return
                if kind == VALUE:
                    self.values.put(content)
        except Broken as error:
            if not self._over.is_set():
                self._left(None, str(error))
        finally:
            self.wake()
            self._over.set()
            with self._turn:
                self.connection.close()

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            self.send(ALIVE)
