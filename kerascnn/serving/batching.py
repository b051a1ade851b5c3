"""A bounded queue in front of a network: images that wait together are computed together."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np


class QueueFull(Exception):
    """The queue is full: the client may come again."""


class _Waiting(NamedTuple):
    pixels: np.ndarray
    answer: "asyncio.Future[np.ndarray]"


class Batcher:
    """Computes images in a thread of its own, up to `batch` at once.

    An image waits only for others that are already being decoded, and at most `wait` seconds.

    Args:
        infer: float32 [n, H, W, 3] -> float32 [n, classes].
        batch: Images of one call.
        wait: Seconds.
        room: Images that may wait or be decoded; more are refused.
    """

    def __init__(self, infer: Callable[[np.ndarray], np.ndarray], batch: int, wait: float, room: int) -> None:
        self.infer, self.batch, self.wait, self.room = infer, batch, wait, room
        self.held = self.coming = 0  # images that were taken on; of them, those that are being decoded
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1, "network")

    def take(self, count: int) -> None:
        """Takes on images; raises QueueFull where there is no room. Each is released by `release`."""
        if self.held + count > self.room:
            raise QueueFull(f"{self.held} images are waiting, and there is room for {self.room}")
        self.held += count

    def release(self, count: int) -> None:
        """Makes room for as many images as were taken on."""
        self.held -= count

    async def put(self, pixels: np.ndarray) -> np.ndarray:
        """Returns the probabilities [classes] of one image [H, W, 3]."""
        answer = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Waiting(pixels, answer))
        return await answer

    async def run(self) -> None:
        """Answers until it is cancelled; an error of one batch does not end it."""
        loop = asyncio.get_running_loop()
        while True:
            group = [one for one in await self._gather() if not one.answer.done()]  # else its request has ended
            if not group:
                continue
            try:
                images = np.stack([one.pixels for one in group]).astype("float32")
                rows = await loop.run_in_executor(self._thread, self._computed, images)
            except Exception as error:  # the requests of this batch report it
                for one in group:
                    if not one.answer.done():
                        one.answer.set_exception(error)
                continue
            for one, row in zip(group, rows, strict=True):
                if not one.answer.done():
                    one.answer.set_result(row)

    def _computed(self, images: np.ndarray) -> np.ndarray:
        return np.asarray(self.infer(images))

    async def _gather(self) -> list[_Waiting]:
        group = [await self._queue.get()]
        end = asyncio.get_running_loop().time() + self.wait
        while len(group) < self.batch:
            left = end - asyncio.get_running_loop().time()
            if not self._queue.empty():
                group.append(self._queue.get_nowait())
            elif self.coming == 0 or left <= 0:
                break
            else:
                try:
                    group.append(await asyncio.wait_for(self._queue.get(), left))
                except TimeoutError:
                    break
        return group
