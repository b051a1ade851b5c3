"""Run a function in a process of its own: what it loads and keeps is gone with it, be it memory or a GPU."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, ParamSpec, TypeVar

from kerascnn.config import UserError

Given = ParamSpec("Given")
Found = TypeVar("Found")


def apart(function: Callable[Given, Found], *args: Given.args, **kwargs: Given.kwargs) -> Found:
    """What `function` returns, from a fresh process; its arguments and result are pickled.

    Raises:
        UserError: As `function`, or the process was killed, mostly for want of memory.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(_told, function, args, kwargs).result()
        except BrokenProcessPool:
            raise UserError(
                f"the process that ran {function.__name__} was killed: is there memory enough? (a smaller --batch-size)"
            ) from None


def _told(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A user's mistake as its plain form, which travels between processes."""
    try:
        return function(*args, **kwargs)
    except UserError as error:
        raise UserError(str(error)) from None
