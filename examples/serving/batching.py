"""A bounded queue in front of a model: what waits together is asked together, and what does not fit is refused at once."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from examples.serving.rest import BadRequest, Question

# A model: a signature and its images -> its outputs, one row per image. BadRequest where an image cannot be decoded.
Ask = Callable[[str, list[bytes] | np.ndarray], dict[str, np.ndarray]]
Outputs = dict[str, np.ndarray]
log = logging.getLogger("uvicorn.error")


class Busy(Exception):
    """The queue is full, or the server is going down: come again."""

    status = 503


@dataclass
class _Waiting:
    question: Question
    answer: asyncio.Future[Outputs] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Batcher:
    """Asks a model in a thread of its own, with up to `batch` images of all who wait.

    Nobody is kept waiting for company: a batch is what came while the model was busy.

    Args:
        ask: The model.
        batch: Images at once.
        room: Images that may wait; more are refused with `Busy`.
    """

    def __init__(self, ask: Ask, batch: int, room: int) -> None:
        self.ask, self.batch, self.room = ask, batch, room
        self.images = 0  # that wait, or are being answered
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._next: _Waiting | None = None
        self._thread = ThreadPoolExecutor(1, "model")

    async def put(self, question: Question) -> Outputs:
        """The model's answer to one request.

        Raises:
            Busy: There is no room.
            BadRequest: An image cannot be decoded.
        """
        count = len(question.images)
        if self.images + count > self.room:
            raise Busy(f"{self.images} images are waiting, and there is room for {self.room}")
        waiting = _Waiting(question)
        self.images += count
        try:
            self._queue.put_nowait(waiting)
            return await waiting.answer
        finally:
            self.images -= count

    async def run(self) -> None:
        """Answer until cancelled; nothing that goes wrong with one batch ends it."""
        while True:
            group = await self._gather()
            loop = asyncio.get_running_loop()
            try:
                answers = await loop.run_in_executor(self._thread, self._answers, [one.question for one in group])
            except asyncio.CancelledError:
                for one in group:
                    _settle(one, Busy("the server is going down"))
                raise
            for one, answer in zip(group, answers, strict=True):
                _settle(one, answer)

    async def _gather(self) -> list[_Waiting]:
        """The first who waits, and who came after it with the same kind of question, as far as they fit."""
        first, self._next = self._next or await self._queue.get(), None
        group, images = [first], len(first.question.images)
        while not self._queue.empty():
            one = self._queue.get_nowait()
            if one.answer.done():  # its client has gone
                continue
            images += len(one.question.images)
            if images > self.batch or not _alike(one.question, first.question):
                self._next = one
                break
            group.append(one)
        return group

    def _answers(self, questions: list[Question]) -> list[Outputs | Exception]:
        try:
            outputs = self.ask(questions[0].signature, _joined(questions))
        except Exception as error:
            if len(questions) > 1:  # an image that cannot be decoded fails its own request only
                return [answer for question in questions for answer in self._answers([question])]
            return [self._explained(questions[0], error)]
        ends = np.cumsum([len(question.images) for question in questions])[:-1]
        parts = {name: np.split(values, ends) for name, values in outputs.items()}
        return [dict(zip(parts, row, strict=True)) for row in zip(*parts.values(), strict=True)]

    def _explained(self, question: Question, error: Exception) -> Exception:
        """Which image it was."""
        if not isinstance(error, BadRequest):
            log.error("the model failed", exc_info=error)
            return Busy("the model could not answer; the server's log says why")
        if len(question.images) > 1:
            for place, image in enumerate(question.images):
                try:
                    self.ask(question.signature, [image])
                except BadRequest as own:
                    return BadRequest(f"image {place}: {own}")
        return BadRequest(f"image 0: {error}")


def _alike(one: Question, other: Question) -> bool:
    if one.signature != other.signature:
        return False
    arrays = isinstance(one.images, np.ndarray) and isinstance(other.images, np.ndarray)
    return not arrays or one.images.shape[1:] == other.images.shape[1:]  # type: ignore[union-attr]


def _joined(questions: list[Question]) -> list[bytes] | np.ndarray:
    if isinstance(questions[0].images, np.ndarray):
        return np.concatenate([question.images for question in questions])
    return [image for question in questions for image in question.images]


def _settle(one: _Waiting, answer: Outputs | Exception) -> None:
    if one.answer.done():  # its client has gone
        return
    if isinstance(answer, Exception):
        one.answer.set_exception(answer)
    else:
        one.answer.set_result(answer)
