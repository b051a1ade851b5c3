"""Run functions in a process of their own: what they load and keep is gone with it, be it memory or a GPU."""

import inspect
import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from kerascnn.cli.progress import SILENT, Mirror, Phases, Relay
from kerascnn.errors import UserError

WAIT = 0.2  # seconds between two looks at whether it has ended
Given = ParamSpec("Given")
Found = TypeVar("Found")


class Apart:
    """A fresh process, from the first call to the end of the `with`: `apart(function, *args)` is what `function` returns there.

    Arguments and results are pickled; a function with a parameter `phases` is given some that are shown here. Raises what the
    function raises, and UserError where the process was killed. The process ends with this one, however this one ends.

    Args:
        phases: Where it is shown what the process does.
    """

    def __init__(self, phases: Phases = SILENT) -> None:
        self.phases = phases

    def __enter__(self) -> "Apart":
        context = multiprocessing.get_context("spawn")
        self._ear, self._mouth = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=_listened, initargs=(self._mouth,))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not issubclass(kind, Exception):  # a stop waits for no measurement
            for process in list(
                (self._pool._processes or {}).values()
            ):  # public from Python 3.14 on: terminate_workers
                process.terminate()
        self._pool.shutdown(cancel_futures=True)
        self._ear.close()
        self._mouth.close()

    def __call__(self, function: Callable[Given, Found], *args: Given.args, **kwargs: Given.kwargs) -> Found:
        found = self._pool.submit(_told, function, args, kwargs)
        mirror = Mirror(self.phases, "")
        try:
            while not found.done():
                if self._ear.poll(WAIT):
                    mirror.show(self._ear.recv())
            return found.result()
        except BrokenProcessPool:
            raise UserError(
                f"the process that ran {function.__name__} was killed: is there memory enough? (a smaller --batch-size)"
            ) from None
        finally:
            mirror.end()


_mouth: Any = None


def _listened(mouth: Any) -> None:
    """Keep, in the child, what its phases are sent by, and end it with its parent."""
    global _mouth
    _mouth = mouth
    _end_with_parent()


def _end_with_parent() -> None:
    """A killed parent leaves no process behind that waits for work."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _told(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A user's mistake as its plain form, which travels between processes."""
    if "phases" in inspect.signature(function).parameters:
        kwargs = {"phases": Relay(_mouth.send), **kwargs}
    try:
        return function(*args, **kwargs)
    except UserError as error:
        raise UserError(str(error)) from None
