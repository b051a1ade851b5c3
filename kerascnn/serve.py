"""Serve models over HTTP: a file in, the most probable classes out."""

import sys
from concurrent.futures import ThreadPoolExecutor

from kerascnn.cli.command import command
from kerascnn.cli.extras import require
from kerascnn.cli.parsing import parse
from kerascnn.cli.screen import Screen, quiet, starting
from kerascnn.devices.hardware import available_cpus
from kerascnn.errors import UserError
from kerascnn.serving.serve_config import Serve


@command
def main(argv: list[str]) -> int:
    """`kerascnn serve ARTEFACT...`: prints its address and answers until a signal."""
    asked = parse(Serve, argv, prog="kerascnn serve", description=__doc__ or "")
    require("serve", "fastapi", "uvicorn", "python_multipart", "prometheus_client")
    token = _token(asked)
    from kerascnn.serving import listening

    with listening.bound(asked.host, asked.port) as socket:  # a port in use is told before anything is loaded
        screen = Screen(errors=True)
        with starting(screen), quiet():
            from kerascnn.serving import app
            from kerascnn.serving.served_model import ServedModel, named
        found = named(asked.artefacts)
        decoders = ThreadPoolExecutor(available_cpus(), "decode")
        with quiet(), screen.phase("loading the models"):
            models = {name: ServedModel(name, path, asked, decoders) for name, path in found.items()}
        host, port = socket.getsockname()[:2]
        print(f"serving {', '.join(models)} at http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
        return listening.run(app.create_app(models, asked, token), socket, asked.time_limit)


def _token(asked: Serve) -> str | None:
    if asked.token_file is None:
        return None
    token = asked.token_file.read_text(encoding="utf-8").strip()
    if not token:
        raise UserError(f"{asked.token_file} is empty: expected a token")
    return token


if __name__ == "__main__":
    sys.exit(main())
