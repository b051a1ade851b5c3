"""Function calls in another process; arguments and results travel as JSON, by the function's annotations. No TensorFlow.

`python -m kerascnn.studies.calls` is that process: it reads a request from standard input and writes the reply to standard
output.
"""

import importlib
import inspect
import json
import os
import sys
import traceback
import typing
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import TypeAdapter

from kerascnn.cli.command import ending
from kerascnn.cli.progress import SILENT, Phases, Relay
from kerascnn.errors import CHECK_FAILED, TRAINING_FAILED, USER_ERROR, CheckFailed, Stopped, TrainingFailed, UserError
from kerascnn.studies.child import Orders, when_parent_ends

COMMAND = ("-m", "kerascnn.studies.calls")  # words after `python`
_KINDS: dict[int, type[Exception]] = {
    USER_ERROR: UserError,
    CHECK_FAILED: CheckFailed,
    TRAINING_FAILED: TrainingFailed,
}


def request(function: Callable[..., Any], args: Sequence[Any]) -> str:
    """Returns the line that requests `function(*args)`."""
    given = [_plain(kind, value) for kind, value in zip(_kinds(function, len(args)), args, strict=True)]
    return json.dumps({"function": f"{function.__module__}:{function.__qualname__}", "args": given})


def result(function: Callable[..., Any], answer: str) -> Any:
    """Returns the result of `function` from the reply.

    Raises:
        UserError, CheckFailed, TrainingFailed, Stopped: As raised in the other process.
        RuntimeError: `function` has a bug; the message contains the traceback.
    """
    found = json.loads(answer)
    if "fault" in found:
        raise RuntimeError(f"{function.__name__} failed in a process of its own:\n{found['fault']}")
    if "code" in found:
        kind = _KINDS.get(found["code"])
        raise kind(found["message"]) if kind else Stopped(found["message"], found["code"])
    return _typed(_returned(function), found["result"])


def answer(line: str, phases: Phases = SILENT) -> str:
    """Executes a request; returns the line of its reply."""
    try:
        asked = json.loads(line)
        module, _, name = asked["function"].partition(":")
        function = getattr(importlib.import_module(module), name)
        kinds = _kinds(function, len(asked["args"]))
        args = [_typed(kind, value) for kind, value in zip(kinds, asked["args"], strict=True)]
        shown = {"phases": phases} if "phases" in inspect.signature(function).parameters else {}
        return json.dumps({"result": _plain(_returned(function), function(*args, **shown))})
    except Stopped as error:
        return json.dumps({"message": str(error), "code": error.code})
    except Exception as error:
        known = ending(error)
        if known is None:
            return json.dumps({"fault": traceback.format_exc()})
        return json.dumps({"message": known[0], "code": known[1]})


def _kinds(function: Callable[..., Any], count: int) -> list[Any]:
    """Returns the annotations of the first `count` parameters."""
    hints = typing.get_type_hints(function)
    return [hints.get(name, Any) for name in list(inspect.signature(function).parameters)[:count]]


def _returned(function: Callable[..., Any]) -> Any:
    return typing.get_type_hints(function).get("return", Any)


# Python's json, since it keeps names that are not UTF-8, and NaN.
def _plain(kind: Any, value: Any) -> Any:
    return TypeAdapter(kind).dump_python(value, mode="json")


def _typed(kind: Any, value: Any) -> Any:
    return TypeAdapter(kind).validate_python(value)


def main(argv: Sequence[str]) -> None:
    """Runs the other process."""
    orders = Orders.taken_from(argv)[0] or Orders()
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # printed text is not part of the reply
        line = sys.stdin.readline()
        when_parent_ends(lambda: os._exit(1))
        orders.pin()
        tell = orders.tell()
        answers.write(f"{answer(line, SILENT if tell is None else Relay(tell))}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
