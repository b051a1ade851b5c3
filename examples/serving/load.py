"""Many clients at once against a server: errors, answers a second, p50 and p95.

    python -m examples.serving.load --serve saved_models/NAME IMAGE...      starts server.py on a free port, and ends it
    python -m examples.serving.load --url http://127.0.0.1:8501 IMAGE...     asks the server for its model (or --name NAME)

Each client sends one image, waits for the answer, sends the next. Every answer is checked: status 200, one prediction whose
probabilities sum to 1, and the same class as when the server was asked alone. Exits 1 where one was not.
"""

import argparse
import asyncio
import base64
import collections
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def serving(model: Path) -> Iterator[tuple[str, str]]:
    """A server process of `model`; gives its address and the model's name."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "examples.serving.server", str(model), "--port", str(port)]
    with tempfile.TemporaryFile("w+") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            for _ in range(600):
                with contextlib.suppress(httpx.TransportError):
                    if httpx.get(f"{address}/v1/models").status_code == 200:
                        break
                if server.poll() is not None:
                    log.seek(0)
                    raise SystemExit(f"the server did not start:\n{log.read()}")
                time.sleep(0.1)
            yield address, only_model(address)
        finally:
            server.terminate()


def only_model(address: str) -> str:
    """The name of the model that a server has."""
    try:
        answer = httpx.get(f"{address}/v1/models")
    except httpx.TransportError as error:
        raise SystemExit(f"{address} does not answer: {error}") from None
    if answer.status_code != 200:
        raise SystemExit(f"{address} does not list its models: name one with --name NAME")
    return answer.json()["models"][0]["name"]


async def one_client(
    client: httpx.AsyncClient, url: str, bodies: list[bytes], expected: list[str], first: int, end: float
) -> list[tuple[str, float]]:
    """Ask until `end`: (outcome, seconds) of each request; the outcome of a right answer is `ok`."""
    found, place = [], first
    while time.perf_counter() < end:
        place = (place + 1) % len(bodies)
        start = time.perf_counter()
        try:
            response = await client.post(url, content=bodies[place])
            outcome = _outcome(response, expected[place])
        except httpx.HTTPError as error:
            outcome = type(error).__name__
        found.append((outcome, time.perf_counter() - start))
    return found


def _outcome(response: httpx.Response, expected: str) -> str:
    if response.status_code != 200:
        return str(response.status_code)
    (answer,) = response.json()["predictions"]
    if "labels" not in answer and abs(sum(answer["probabilities"]) - 1) > 1e-4:  # several labels have no common sum
        return "probabilities that do not sum to 1"
    return "ok" if answer["classes"][0] == expected else "another class than when asked alone"


async def load(url: str, files: list[Path], clients: int, seconds: float) -> list[tuple[str, float]]:
    """All clients' requests."""
    bodies = [
        json.dumps({"instances": [{"b64": base64.b64encode(file.read_bytes()).decode()}]}).encode() for file in files
    ]
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(timeout=60, limits=limits) as client:
        alone = [(await client.post(url, content=body)).raise_for_status().json() for body in bodies]
        expected = [answer["predictions"][0]["classes"][0] for answer in alone]
        end = time.perf_counter() + seconds
        step = max(1, len(bodies) // clients)
        tasks = [one_client(client, url, bodies, expected, step * place, end) for place in range(clients)]
        return [row for rows in await asyncio.gather(*tasks) for row in rows]


@contextlib.contextmanager
def _running(url: str, name: str | None) -> Iterator[tuple[str, str]]:
    yield url, name or only_model(url)


def main() -> int:
    """Load a server and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--serve", type=Path, help="a SavedModel to start a server for, or a folder with one")
    where.add_argument("--url", help="a server that runs")
    parser.add_argument("--name", help="the model's name at --url (default: asked of server.py)")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("images", type=Path, nargs="+", help="JPEG or PNG files")
    given = parser.parse_args()
    with serving(given.serve) if given.serve else _running(given.url, given.name) as (address, name):
        rows = asyncio.run(load(f"{address}/v1/models/{name}:predict", given.images, given.clients, given.seconds))
    outcomes = collections.Counter(outcome for outcome, _ in rows)
    times = sorted(1000 * took for _, took in rows)
    cuts = statistics.quantiles(times, n=100)
    print(f"{given.clients} clients, {given.seconds:g} s, {len(given.images)} images: {len(rows):,} requests")
    print(f"outcomes: {dict(outcomes)}; errors: {len(rows) - outcomes['ok']}")
    rate = outcomes["ok"] / given.seconds
    print(f"{rate:.1f} answers a second; p50 {cuts[49]:.0f} ms, p95 {cuts[94]:.0f} ms, max {times[-1]:.0f} ms")
    return 0 if outcomes["ok"] == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
