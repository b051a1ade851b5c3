"""A bounded queue in front of a network: images that wait together are computed together."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np


class QueueFull(Exception):
    """The queue is full: the client may come again."""


Outputs = Mapping[str, np.ndarray]  # by name: of a batch [n, ...], or of one image [...]


class _Waiting(NamedTuple):
    pixels: np.ndarray
    answer: "asyncio.Future[Outputs]"


class Batcher:
    """Computes images in a thread of its own, up to `batch` at once.

    An image waits only for others that are already being decoded, and at most `wait` seconds. The task that computes lives as
    long as images wait, so that nothing holds a network that nobody asks any more.

    Args:
        infer: float32 [n, H, W, 3] -> outputs by name, [n, ...] each.
        batch: Images of one call.
        wait: Seconds.
        room: Images that may wait or be decoded; more are refused.
    """

    def __init__(self, infer: Callable[[np.ndarray], Outputs], batch: int, wait: float, room: int) -> None:
        self.infer, self.batch, self.wait, self.room = infer, batch, wait, room
        self.held = self.coming = 0  # images that were taken on; of them, those that are being decoded
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "network")

    @contextlib.contextmanager
    def taken(self, count: int) -> Iterator[None]:
        """Holds the places of `count` images; raises QueueFull where there is no room."""
        if self.held + count > self.room:
            raise QueueFull(f"{self.held} images are waiting, and there is room for {self.room}")
        self.held += count
        try:
            yield
        finally:
            self.held -= count

    async def put(self, pixels: np.ndarray) -> Outputs:
        """Returns the outputs for one image [H, W, 3]; raises what `infer` raises for its batch."""
        answer = asyncio.get_running_loop().create_future()
        if self._task is None or self._task.done():
            self._queue = asyncio.Queue()
            self._task = asyncio.create_task(self._run(self._queue))
        self._queue.put_nowait(_Waiting(pixels, answer))
        return await answer

    async def _run(self, queue: "asyncio.Queue[_Waiting]") -> None:
        """Answers until nobody waits; an error of one batch does not end it."""
        loop = asyncio.get_running_loop()
        while not queue.empty():
            group = [one for one in await self._gather(queue) if not one.answer.done()]  # else its request has ended
            if not group:
                continue
            try:
                images = np.stack([one.pixels for one in group]).astype("float32")
                outputs = await loop.run_in_executor(self._thread, self.infer, images)
            except Exception as error:  # the requests of this batch report it
                for one in group:
                    if not one.answer.done():
                        one.answer.set_exception(error)
                continue
            for place, one in enumerate(group):
                if not one.answer.done():
                    one.answer.set_result({name: values[place] for name, values in outputs.items()})

    async def _gather(self, queue: "asyncio.Queue[_Waiting]") -> list[_Waiting]:
        """Returns what waits, at least one image."""
        group = [queue.get_nowait()]
        end = asyncio.get_running_loop().time() + self.wait
        while len(group) < self.batch:
            left = end - asyncio.get_running_loop().time()
            if not queue.empty():
                group.append(queue.get_nowait())
            elif self.coming == 0 or left <= 0:
                break
            else:
                try:
                    group.append(await asyncio.wait_for(queue.get(), left))
                except TimeoutError:
                    break
        return group
