"""The work of one process: it loads the models, listens, and answers until a signal."""

import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socket import socket

from kerascnn.cli.screen import Screen, quiet, starting
from kerascnn.devices.hardware import available_cpus
from kerascnn.serving import listening
from kerascnn.serving.serve_config import Serve


def answer(
    asked: Serve,
    found: Mapping[str, Path],
    token: str | None,
    bound: socket,
    ready: Callable[[], None],
    screen: Screen | None = None,
) -> int:
    """Answers requests until a signal; returns the exit code.

    Args:
        asked: The flags.
        found: Paths of the models by name.
        token: The token that requests bring, or None.
        bound: A bound socket.
        ready: Called once the server listens.
        screen: Shows what it waits for.

    Raises:
        UserError: A model cannot be served.
    """
    with starting(screen) if screen else contextlib.nullcontext(), quiet():
        from kerascnn.serving import app
        from kerascnn.serving.served_model import ServedModel
    decoders = ThreadPoolExecutor(available_cpus(), "decode")
    with quiet(), screen.phase("loading the models") if screen else contextlib.nullcontext():
        models = {name: ServedModel(name, path, asked, decoders) for name, path in found.items()}
        application = app.create_app(models, asked, token)
        del models  # else a version that was replaced could not go
    return listening.run(application, bound, asked.time_limit, ready)
