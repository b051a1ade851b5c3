"""The curl lines of the page about serving, as they stand there, against a server."""

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import uvicorn

from kerascnn.serving import app, listening
from kerascnn.serving.serve_config import Serve
from kerascnn.serving.served_model import ServedModel
from tests.artefacts import further_files
from tests.data import odd_files
from tests.pages import TEXTS, blocks

pytestmark = [
    pytest.mark.training,
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]
LINES = [line for block in blocks("text", TEXTS["docs/serve.md"]) for line in block.splitlines() if "curl " in line]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("docs") / "photos" / "1" / "model.onnx"
    further_files.onnx_file(path)
    settings = Serve(artefacts=("photos",))
    with ThreadPoolExecutor(2) as decoders, listening.bound("127.0.0.1", 0) as socket:
        models = {"photos": ServedModel("photos", path, settings, decoders)}
        server = uvicorn.Server(uvicorn.Config(app.create_app(models, settings, None), log_level="critical"))
        thread = threading.Thread(target=server.run, args=([socket],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def test_there_are_lines_for_each_way_to_ask() -> None:
    assert {re.sub(r".* (-F|-d|--data-binary) .*", r"\1", line) for line in LINES} == {"-F", "-d", "--data-binary"}


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_answered_with_classes(line: str, address: str, tmp_path: Path) -> None:
    for name in ("cat.jpg", "dog.jpg"):
        (tmp_path / name).write_bytes(odd_files.encode(odd_files.photo(), "JPEG"))
    command = line.replace("http://127.0.0.1:8501", address).replace("curl ", "curl -sS --fail-with-body ")
    run = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr
    assert '"red"' in run.stdout
