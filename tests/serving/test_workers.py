"""Several workers at one address: shared numbers, a killed worker is replaced, all end with the answer to what they took."""

import contextlib
import functools
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socket import socket

import httpx
import numpy as np
import pytest
from PIL import Image

from kerascnn.errors import INTERRUPTED
from kerascnn.serving import listening, workers


@pytest.mark.parametrize(
    ("cpus", "count", "shares"),
    [([0, 1, 2, 3], 2, [[0, 2], [1, 3]]), ([4, 5, 6], 2, [[4, 6], [5]]), ([0, 1], 3, [[0], [1], [0]])],
)
def test_every_worker_has_a_share_of_the_cpus(cpus: list[int], count: int, shares: list[list[int]]) -> None:
    assert [workers.share(cpus, place, count) for place in range(count)] == shares


def small(bound: socket, ready: Callable[[], None], *, fails: str = "") -> int:
    """A worker without a model: it answers the number of its process."""
    from fastapi import FastAPI

    if fails:
        sys.exit(7)
    app = FastAPI()
    app.get("/")(os.getpid)
    return listening.run(app, bound, 5.0, ready)


def test_a_worker_that_cannot_start_ends_the_server() -> None:
    with listening.bound("127.0.0.1", 0) as bound:
        code = workers.run(functools.partial(small, fails="at once"), 2, bound, 5.0, lambda: None)
    assert code == 7


def test_a_killed_worker_is_replaced(capfd: pytest.CaptureFixture[str]) -> None:
    with listening.bound("127.0.0.1", 0) as bound, ThreadPoolExecutor(1) as pool:
        address = f"http://127.0.0.1:{bound.getsockname()[1]}/"
        seen: set[int] = set()

        def asked() -> set[int]:
            """Asks until two processes have answered, kills one, asks for a third, and ends the server."""
            try:
                answering(address, seen, 2)
                os.kill(next(iter(seen)), signal.SIGKILL)
                answering(address, seen, 3)
            finally:
                os.kill(os.getpid(), signal.SIGINT)
            return seen

        found = []
        code = workers.run(small, 2, bound, 5.0, lambda: found.append(pool.submit(asked)))
        assert len(found[0].result()) == 3
    assert code == INTERRUPTED
    assert "another one starts" in capfd.readouterr().err


def answering(address: str, seen: set[int], count: int) -> None:
    end = time.monotonic() + 60
    while len(seen) < count:
        assert time.monotonic() < end
        with contextlib.suppress(httpx.TransportError):  # a connection that the killed worker had taken
            seen.add(httpx.get(address, timeout=10).json())


def photo() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.zeros((4, 4, 3), "uint8")).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    from tests.artefacts import further_files  # not above: workers import this file, and this imports TensorFlow

    further_files.onnx_file(tmp_path / "colors" / "1" / "model.onnx")
    command = [sys.executable, "-m", "kerascnn.serve", str(tmp_path / "colors"), "--port", "0", "--workers", "2"]
    command += ["--watch", "0.1", "--allow-origin", "https://example.org"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        said = re.search(r"(http://\S+) by 2 workers", process.stdout.readline())
        assert said
        yield process, said[1]
        process.terminate()


@pytest.mark.slow
@pytest.mark.training
def test_the_command_with_two_workers(server: tuple[subprocess.Popen[str], str], tmp_path: Path) -> None:
    """Numbers are those of both workers, both take a new version, and SIGTERM ends both."""
    from tests.artefacts import further_files

    process, address = server
    head, content = {"Content-Type": "image/png", "Origin": "https://example.org"}, photo()

    def ask(_: int) -> httpx.Response:
        return httpx.post(f"{address}/predict", content=content, headers=head, timeout=60)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(40)))
        assert [answer.status_code for answer in answers] == [200] * 40
        assert {answer.headers["access-control-allow-origin"] for answer in answers} == {"https://example.org"}
        numbers = httpx.get(f"{address}/metrics").text
        assert 'kerascnn_images_total{model="colors",outcome="answered"} 40.0' in numbers
        further_files.onnx_file(tmp_path / "colors" / "2" / "model.onnx", scale=0.5)
        end = time.monotonic() + 60
        while {answer.json()["version"] for answer in pool.map(ask, range(20))} != {"2"}:
            assert time.monotonic() < end
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
