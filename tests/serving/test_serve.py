"""`kerascnn serve` as a process over loopback: answers, refusals, and bad requests among good ones."""

import io
import random
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
import tensorflow as tf
from fastapi.testclient import TestClient
from PIL import Image

import kerascnn
from kerascnn.runs import finding
from kerascnn.serving import app
from kerascnn.serving.serve_config import Serve
from kerascnn.serving.served_model import ServedModel

pytestmark = pytest.mark.training


def photo(seed: int = 0) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (60, 50, 3), dtype="uint8")).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], str]]:
    token = tmp_path_factory.mktemp("serve") / "token"
    token.write_text("secret\n")
    limits = ("--max-body", "0.3", "--max-images", "4", "--max-pixels", "0.01")
    flags = ["--port", "0", "--token-file", str(token), *limits]
    command = [sys.executable, "-m", "kerascnn.serve", "demo", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        said = re.search(r"http://\S+", server.stdout.readline())
        assert said
        yield server, said[0]
        server.kill()


@pytest.fixture(scope="module")
def client(process: tuple[subprocess.Popen[str], str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=process[1], timeout=60, headers={"Authorization": "Bearer secret"}) as one:
        yield one


def test_every_form_of_a_request_has_the_predictors_answer(client: httpx.Client) -> None:
    (model,) = client.get("/api/models").json()["models"]
    predictor = kerascnn.load("demo")
    assert (model["name"], model["classes"]) == ("demo", list(predictor.class_names))
    expected = predictor.predict([np.asarray(Image.open(io.BytesIO(photo())))])[0]
    form = client.post("/predict?top=3", files={"image": ("a.png", photo())})
    raw = client.post("/predict?model=demo&top=3", content=photo(), headers={"Content-Type": "image/png"})
    for response in (form, raw):
        (result,) = response.raise_for_status().json()["results"]
        assert [row["class"] for row in result["top"]] == [predictor.class_names[c] for c in (-expected).argsort()[:3]]
        np.testing.assert_allclose([row["probability"] for row in result["top"]], -np.sort(-expected)[:3], atol=1e-5)


def test_a_broken_image_is_a_result_among_others_and_a_400_alone(client: httpx.Client) -> None:
    files = [("image", ("a.png", photo())), ("image", ("b.png", photo()[:200]))]
    good, broken = client.post("/predict", files=files).raise_for_status().json()["results"]
    assert good["error"] is None
    assert "truncated" in broken["error"]
    assert client.post("/predict", files=files[1:]).status_code == 400


@pytest.mark.parametrize(
    ("address", "content", "kind", "status"),
    [
        ("/predict?model=other", photo(), "image/png", 404),
        ("/predict?top=0", photo(), "image/png", 400),
        ("/predict?cam=other", photo(), "image/png", 400),
        ("/predict", b"", "image/png", 400),
        ("/predict", b"a=1", "application/x-www-form-urlencoded", 415),
        ("/predict", b"x" * 300_001, "image/png", 413),
        ("/predict", b"no form", "multipart/form-data; boundary=x", 400),
        ("/predict", b"no form", "multipart/form-data", 400),
    ],
)
def test_what_is_refused(client: httpx.Client, address: str, content: bytes, kind: str, status: int) -> None:
    response = client.post(address, content=content, headers={"Content-Type": kind})
    assert response.status_code == status
    assert response.json()["error"]


def test_a_request_of_too_many_images_or_pixels_is_a_413(client: httpx.Client) -> None:
    assert client.post("/predict", files=[("image", photo())] * 5).status_code == 413
    assert client.post("/predict", files=[("image", photo())] * 4).status_code == 413
    assert client.post("/predict", files=[("image", photo())] * 3).status_code == 200


def test_a_token_is_needed_but_for_health(client: httpx.Client) -> None:
    bad = {"Authorization": "Bearer other"}
    assert client.post("/predict", content=photo(), headers=bad).status_code == 401
    assert client.get("/healthz", headers=bad).status_code == client.get("/readyz", headers=bad).status_code == 200
    assert "default-src 'none'" in client.get("/healthz").headers["content-security-policy"]


def test_bad_requests_among_good_ones_are_never_5xx(client: httpx.Client) -> None:
    def one(seed: int) -> int:
        draw = random.Random(seed)
        body = bytearray(photo(seed))
        if seed % 2:
            body = body[: draw.randrange(1, len(body))]
            body[draw.randrange(len(body))] = draw.randrange(256)
        kind = draw.choice(["image/png", "multipart/form-data; boundary=x", "text/html"]) if seed % 2 else "image/png"
        return client.post("/predict", content=bytes(body), headers={"Content-Type": kind}).status_code

    with ThreadPoolExecutor(16) as pool:
        codes = list(pool.map(one, range(200)))
    assert codes[::2] == [200] * 100
    assert set(codes[1::2]) <= {400, 413, 415}
    assert 'kerascnn_images_total{model="demo",outcome="answered"}' in client.get("/metrics").text


def test_a_request_that_has_begun_is_answered_after_sigterm(process: tuple[subprocess.Popen[str], str]) -> None:
    """The last test of this server."""
    host, port = process[1].removeprefix("http://").split(":")
    body = photo()
    head = [f"POST /predict HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer secret\r\nContent-Type: image/png\r\n"]
    head += [f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"]
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall("".join(head).encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")  # it waits for the body
        process[0].send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process[0].wait(1)
        connection.sendall(body)
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    assert process[0].wait(30) == 0


def test_a_model_that_fails_is_a_500_with_a_line_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    """As where a batch does not fit the memory."""
    settings = Serve(artefacts=("demo",))
    with ThreadPoolExecutor(1) as decoders:
        model = ServedModel("demo", finding.find("demo"), settings, decoders)

        def failing(images: np.ndarray) -> np.ndarray:
            raise tf.errors.ResourceExhaustedError(None, None, f"out of memory for {images.shape}")

        model.batcher.infer = failing
        with TestClient(app.create_app({"demo": model}, settings, None)) as client:
            response = client.post("/predict", content=photo(), headers={"Content-Type": "image/png"})
    assert (response.status_code, response.json()) == (500, {"error": "the model failed (ResourceExhaustedError)"})
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert '"status": 500' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "which model?"),
        (["nothing"], "there is no nothing"),
        (["demo", "demo"], "NAME=PATH"),
        (["demo", "--token-file", "no-such-file"], "no-such-file"),
    ],
)
def test_mistakes_are_one_message(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    from kerascnn import serve

    assert serve.main([*words, "--port", "0"]) == 2
    assert message in capsys.readouterr().err


def test_a_port_in_use_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from kerascnn import serve
    from kerascnn.serving import listening

    with listening.bound("127.0.0.1", 0) as taken:
        taken.listen()
        assert serve.main(["demo", "--port", str(taken.getsockname()[1])]) == 2
    assert "choose another --port" in capsys.readouterr().err
