"""Serve models over HTTP: a file in, the most probable classes out."""

import functools
import sys

from kerascnn.cli.command import command
from kerascnn.cli.extras import require
from kerascnn.cli.parsing import parse
from kerascnn.cli.screen import Screen
from kerascnn.errors import UserError
from kerascnn.serving import sources, workers
from kerascnn.serving.serve_config import Serve


@command
def main(argv: list[str]) -> int:
    """`kerascnn serve ARTEFACT...`: prints its address and answers until a signal."""
    asked = parse(Serve, argv, prog="kerascnn serve", description=__doc__ or "")
    require("serve", "fastapi", "uvicorn", "python_multipart", "prometheus_client")
    token = _token(asked)
    found = sources.named(asked.artefacts)
    from kerascnn.serving import listening
    from kerascnn.serving.answering import answer

    with listening.bound(asked.host, asked.port) as socket:  # a port in use is told before anything is loaded
        host, port = socket.getsockname()[:2]

        def announce() -> None:
            by = f" by {asked.workers} workers" if asked.workers > 1 else ""
            print(f"serving {', '.join(found)} at http://{f'[{host}]' if ':' in host else host}:{port}{by}", flush=True)

        screen = Screen(errors=True)
        if asked.workers == 1:
            return answer(asked, found, token, socket, announce, screen)
        return workers.run(
            functools.partial(answer, asked, found, token), asked.workers, socket, asked.time_limit, announce
        )


def _token(asked: Serve) -> str | None:
    if asked.token_file is None:
        return None
    token = asked.token_file.read_text(encoding="utf-8").strip()
    if not token:
        raise UserError(f"{asked.token_file} is empty: expected a token")
    return token


if __name__ == "__main__":
    sys.exit(main())
