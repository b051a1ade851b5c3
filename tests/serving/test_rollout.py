"""A new version takes over while clients ask, without a lost request, and the old one is drained."""

import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from PIL import Image

from kerascnn.serving import app, listening
from kerascnn.serving.serve_config import Serve
from kerascnn.serving.served_model import ServedModel
from kerascnn.serving.sources import newest
from tests.artefacts import further_files

pytestmark = pytest.mark.training


def photo() -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3), "uint8") // (1, 2, 3)
    Image.fromarray(pixels.astype("uint8")).save(file, "PNG")
    return file.getvalue()


PHOTO = photo()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    further_files.onnx_file(tmp_path / "colors" / "1" / "model.onnx", further=False)
    return tmp_path / "colors"


@pytest.fixture
def server(folder: Path) -> Iterator[tuple[dict[str, ServedModel], httpx.Client]]:
    settings = Serve(artefacts=("colors",), watch=0.05, queue=1000)
    with ThreadPoolExecutor(2) as decoders, listening.bound("127.0.0.1", 0) as socket:
        models = {"colors": ServedModel("colors", folder, settings, decoders)}
        running = uvicorn.Server(uvicorn.Config(app.create_app(models, settings, None), log_level="critical"))
        thread = threading.Thread(target=running.run, args=([socket],))
        thread.start()
        while not running.started:
            time.sleep(0.01)
        with httpx.Client(base_url=f"http://127.0.0.1:{socket.getsockname()[1]}", timeout=60) as client:
            yield models, client
        running.should_exit = True
        thread.join()


def publish(folder: Path, version: str, **given: Any) -> None:
    """As `kerascnn export` does: beside the others, then renamed."""
    further_files.onnx_file(folder / "aside" / "model.onnx", **given)
    os.rename(folder / "aside", folder / version)  # noqa: PTH104


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def ask(client: httpx.Client) -> dict[str, Any]:
    return client.post("/predict", content=PHOTO, headers={"Content-Type": "image/png"}).raise_for_status().json()


def states(client: httpx.Client) -> dict[str, str]:
    rows = client.get("/v1/models/colors").raise_for_status().json()["model_version_status"]
    return {row["version"]: row["state"] for row in rows}


def test_no_request_is_lost_while_a_version_takes_over(
    server: tuple[dict[str, ServedModel], httpx.Client], folder: Path
) -> None:
    models, client = server
    models.clear()  # the test would keep version 1 alive
    stop, versions = threading.Event(), []

    def asking() -> None:
        while not stop.is_set():
            answer = ask(client)
            (result,) = answer["results"]
            versions.append(answer["version"])
            assert (result["known_score"] is None) == (answer["version"] == "1")

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(asking) for _ in range(4)]
        try:
            until(lambda: len(versions) > 20)
            publish(folder, "2")
            until(lambda: versions[-1] == "2")
            until(lambda: states(client) == {"2": "AVAILABLE", "1": "END"})
        finally:
            stop.set()
        for one in clients:
            one.result()
    assert set(versions) == {"1", "2"}
    assert client.get("/v1/models/colors/versions/1").json()["model_version_status"][0]["state"] == "END"
    for version, status in (("1", 404), ("2", 200)):
        body = {"signature_name": "images", "instances": np.full((1, 4, 4, 3), 9).tolist()}
        response = client.post(f"/v1/models/colors/versions/{version}:predict", json=body)
        assert response.status_code == status
    assert response.json()["predictions"][0]["known"] is False


def test_further_outputs_are_in_the_answer(server: tuple[dict[str, ServedModel], httpx.Client], folder: Path) -> None:
    _, client = server
    offers = client.get("/api/models").json()["models"][0]["offers"]
    assert (offers["sets"], offers["known"]) == (False, False)
    (result,) = ask(client)["results"]
    assert (result["in_set"], result["known"], result["known_score"]) == (None, None, None)
    publish(folder, "2")
    until(lambda: states(client).get("2") == "AVAILABLE")
    offers = client.get("/api/models").json()["models"][0]["offers"]
    assert (offers["sets"], offers["known"]) == (True, True)
    (result,) = ask(client)["results"]
    outputs = further_files.expected(np.asarray(Image.open(io.BytesIO(PHOTO)))[None].astype("float32"))
    assert result["in_set"] == [row["class"] for row in result["top"] if row["probability"] >= 0.2]
    assert result["known"] == bool(outputs["known"][0])
    assert result["known_score"] == pytest.approx(outputs["known_score"][0], abs=1e-5)


def test_a_damaged_version_changes_nothing_and_is_tried_again(
    server: tuple[dict[str, ServedModel], httpx.Client], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, client = server
    (folder / "3").mkdir()
    (folder / "3" / "model.onnx").write_bytes(b"a part of a copy")
    said = ""

    def refused() -> bool:
        nonlocal said
        said += capsys.readouterr().err
        return "cannot be served" in said

    until(refused)
    assert ask(client)["version"] == "1"
    further_files.onnx_file(folder / "3" / "model.onnx", scale=0.5)
    until(lambda: states(client).get("3") == "AVAILABLE")
    (folder / "3" / "model.onnx").unlink()
    until(lambda: states(client).get("1") == "AVAILABLE")  # back to the newest that is there


def test_what_a_folder_stands_for(tmp_path: Path) -> None:
    for file in ("1/saved_model.pb", "1/model.onnx", "2/model.keras", "2/model.onnx", "3/notes.txt"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert newest(tmp_path) == (tmp_path / "2" / "model.onnx", "2")
    assert newest(tmp_path / "1") == (tmp_path / "1", "1")
    assert newest(tmp_path / "2" / "model.keras") == (tmp_path / "2" / "model.keras", "2")
    assert newest(tmp_path / "3") == (tmp_path / "3", "3")
    assert newest(tmp_path / "none.onnx") == (tmp_path / "none.onnx", "1")
