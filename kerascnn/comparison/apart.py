"""Run functions in a process of their own: what they load and keep is gone with it, be it memory or a GPU."""

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from kerascnn.config import UserError

Given = ParamSpec("Given")
Found = TypeVar("Found")


class Apart:
    """A fresh process, from the first call to the end of the `with`: `apart(function, *args)` is what `function` returns there.

    Arguments and results are pickled. Raises what the function raises, and UserError where the process was killed. The process
    ends with this one, however this one ends.
    """

    def __enter__(self) -> "Apart":
        self._pool = ProcessPoolExecutor(
            1, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent
        )
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

    def __call__(self, function: Callable[Given, Found], *args: Given.args, **kwargs: Given.kwargs) -> Found:
        try:
            return self._pool.submit(_told, function, args, kwargs).result()
        except BrokenProcessPool:
            raise UserError(
                f"the process that ran {function.__name__} was killed: is there memory enough? (a smaller --batch-size)"
            ) from None


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
    try:
        return function(*args, **kwargs)
    except UserError as error:
        raise UserError(str(error)) from None
