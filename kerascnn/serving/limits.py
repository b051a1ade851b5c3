"""What a request may take of the server, as the statuses that refuse more."""

import contextlib
from collections.abc import Iterator

import anyio
from starlette.exceptions import HTTPException

from kerascnn.serving.batching import QueueFull
from kerascnn.serving.serve_config import Serve


@contextlib.contextmanager
def within(settings: Serve) -> Iterator[None]:
    """Bounds the time of an answer (504) and reports a full queue (429)."""
    try:
        with anyio.fail_after(settings.time_limit):
            yield
    except QueueFull as error:
        raise HTTPException(429, str(error), {"Retry-After": "1"}) from None
    except TimeoutError:
        raise HTTPException(504, f"no answer within {settings.time_limit:g} s (--time-limit)") from None
