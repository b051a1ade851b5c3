"""A call of a function on a machine that a cluster has chosen, which shares its folders with this one. No TensorFlow."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from kerascnn.errors import USER_ERROR, UserError
from kerascnn.studies import calls, far_training


class CallOrder(BaseModel):
    """What a machine of a cluster has to know to call a function.

    Attributes:
        line: The request, as `calls.request` writes it.
        folder: The working directory, in which relative paths begin.
        environment: Variables that decide bits or speed; None where one must not be set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: str
    folder: str
    environment: dict[str, str | None]


def order_of(function: Callable[..., Any], args: Sequence[Any], cpus: int | None, gpus: int) -> CallOrder:
    """Returns the order to call `function(*args)` with as many threads as it gets cores; None for this machine's number."""
    folder = os.getcwd()  # noqa: PTH109 - a text
    return CallOrder(
        line=calls.request(function, args), folder=folder, environment=far_training.environment_of(cpus, gpus)
    )


def answered(order: CallOrder) -> str:
    """Calls the function in this process, which has not loaded TensorFlow; returns the reply for `calls.result`."""
    try:
        far_training.enter(order.folder, order.environment)
    except UserError as error:
        return json.dumps({"message": str(error), "code": USER_ERROR})
    return calls.answer(order.line)
