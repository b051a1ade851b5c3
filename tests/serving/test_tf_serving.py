"""TensorFlow Serving's REST API: every form of a question, and nothing a client gets wrong is a 5xx."""

import base64
import json
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
import tensorflow as tf
import uvicorn

from kerascnn.artefacts import card, savedmodel
from kerascnn.scoring.label_metrics import Thresholds
from kerascnn.scoring.task import SINGLE, TASKS
from kerascnn.serving import app, listening
from kerascnn.serving.serve_config import Serve
from kerascnn.serving.served_model import ServedModel
from tests.artefacts import networks
from tests.data import odd_files

pytestmark = pytest.mark.training

NAMES = (*"abcdef", "caf\udce9")  # the last one is a folder's name that is not UTF-8
SHOWN = (*NAMES[:6], "caf�")
LIMITS = Serve(artefacts=("tiny",), max_body=0.3, max_images=8, max_pixels=0.1)
PHOTO = odd_files.photo(40, 60)
JPEG = odd_files.encode(PHOTO, "JPEG")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ServedModel]]:
    """A network as a SavedModel, and as a Keras file for several labels per image."""
    network, folder = networks.tiny(), tmp_path_factory.mktemp("saved_models")
    savedmodel.export(network, folder / "tiny", class_names=NAMES, image_size=32, resize="crop")
    several = folder / "labels" / "3"
    facts = savedmodel.of_labels(TASKS["multi"], Thresholds((0.4,) * 7, 0.4), NAMES)
    (several / "assets").mkdir(parents=True)
    for name, content in savedmodel.describe(NAMES, 32, "crop", facts).items():
        (several / "assets" / name).write_bytes(content)
    network.save(several / "model.keras")
    paths = {"tiny": folder / "tiny", "labels": several / "model.keras"}
    with ThreadPoolExecutor(2) as decoders:
        yield {name: ServedModel(name, path, LIMITS, decoders) for name, path in paths.items()}


@contextmanager
def running(models: dict[str, ServedModel], settings: Serve) -> Iterator[str]:
    """The server on a socket, in a thread."""
    with listening.bound("127.0.0.1", 0) as socket:
        server = uvicorn.Server(uvicorn.Config(app.create_app(models, settings, None), log_level="critical"))
        thread = threading.Thread(target=server.run, args=([socket],))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield f"http://127.0.0.1:{socket.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def client(models: dict[str, ServedModel]) -> Iterator[httpx.Client]:
    with running(models, LIMITS) as address, httpx.Client(base_url=address, timeout=60) as one:
        yield one


def b64(content: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(content).decode()}


def image(content: bytes) -> bytes:
    return json.dumps({"instances": [b64(content)]}).encode()


@pytest.mark.parametrize("place", ["", "/versions/1"])
def test_every_form_of_a_question_has_the_answer_of_the_saved_model(
    place: str, client: httpx.Client, models: dict[str, ServedModel]
) -> None:
    files = [JPEG, odd_files.encode(PHOTO, "PNG"), odd_files.encode(PHOTO, "GIF")]
    pixels = [models["tiny"].predictor.decoded(content) for content in files]
    expected = models["tiny"].predictor.predict(pixels)
    encoded = [b64(content) for content in files]
    for body in (
        {"instances": encoded},
        {"instances": [{"image_bytes": one} for one in encoded]},
        {"signature_name": "serving_default", "instances": encoded},
        {"signature_name": "images", "instances": np.stack(pixels).tolist()},
        {"signature_name": "images", "instances": [{"images": one.tolist()} for one in pixels]},
    ):
        answers = client.post(f"/v1/models/tiny{place}:predict", json=body).raise_for_status().json()["predictions"]
        assert [answer.keys() for answer in answers] == [{"probabilities", "classes", "scores"}] * 3
        np.testing.assert_allclose([answer["probabilities"] for answer in answers], expected, atol=1e-5)
        assert [answer["classes"][0] for answer in answers] == [SHOWN[i] for i in expected.argmax(axis=1)]
        np.testing.assert_allclose([answer["scores"][0] for answer in answers], expected.max(axis=1), atol=1e-5)
    for body in ({"inputs": encoded}, {"inputs": {"image_bytes": encoded}}):
        outputs = client.post(f"/v1/models/tiny{place}:predict", json=body).raise_for_status().json()["outputs"]
        np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-5)


def test_the_answer_is_that_of_the_exported_signature(client: httpx.Client, models: dict[str, ServedModel]) -> None:
    """As TensorFlow Serving would give it: every output by name, and pixels of any size."""
    (path,) = [model.source for model in models.values() if model.format == "SavedModel"]
    loaded = tf.saved_model.load(str(path / "1"))
    images = np.random.default_rng(0).integers(0, 256, (2, 20, 24, 3))
    for signature, given, body in (
        ("serving_default", {"image_bytes": tf.constant([JPEG])}, {"instances": [b64(JPEG)]}),
        ("images", {"images": tf.constant(images, tf.float32)}, {"instances": images.tolist()}),
        ("features", {"images": tf.constant(images, tf.float32)}, {"instances": images.tolist()}),
    ):
        expected = loaded.signatures[signature](**given)
        answers = client.post("/v1/models/tiny:predict", json={"signature_name": signature, **body}).json()
        if signature == "features":
            np.testing.assert_allclose(answers["predictions"], expected["features"], rtol=1e-3, atol=1e-4)
            columns = {"signature_name": signature, "inputs": images.tolist()}
            by_column = client.post("/v1/models/tiny:predict", json=columns).json()
            assert by_column.keys() == {"outputs"}
            # Not bit for bit: the two images of a request may be computed in one batch or in two.
            np.testing.assert_allclose(by_column["outputs"], answers["predictions"], rtol=1e-3, atol=1e-4)
            continue
        for row, answer in enumerate(answers["predictions"]):
            assert answer.keys() == expected.keys()
            assert answer["classes"] == [name.decode(errors="replace") for name in expected["classes"][row].numpy()]
            for name in ("probabilities", "scores"):
                np.testing.assert_allclose(answer[name], expected[name][row], atol=1e-5)


def test_several_labels_are_told_by_their_thresholds(client: httpx.Client, models: dict[str, ServedModel]) -> None:
    expected = models["labels"].predictor.predict(models["labels"].predictor.decoded(JPEG))[0]
    answer = client.post("/v1/models/labels:predict", content=image(JPEG)).raise_for_status().json()["predictions"][0]
    assert answer["labels"] == (expected >= np.float32(0.4)).tolist()
    assert 0 < sum(answer["labels"]) < 7


def test_state_and_metadata(client: httpx.Client) -> None:
    for name, version, place in (("tiny", "1", ""), ("tiny", "1", "/versions/1"), ("labels", "3", "")):
        (status,) = client.get(f"/v1/models/{name}{place}").raise_for_status().json()["model_version_status"]
        assert status == {
            "version": version,
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        }
        found = client.get(f"/v1/models/{name}{place}/metadata").raise_for_status().json()
        assert found["model_spec"] == {"name": name, "signature_name": "", "version": version}
        signatures = found["metadata"]["signature_def"]["signature_def"]
        assert signatures["serving_default"]["inputs"]["image_bytes"]["dtype"] == "DT_STRING"
        assert signatures["images"]["inputs"]["images"]["dtype"] == "DT_FLOAT"
        sides = signatures["images"]["outputs"]["probabilities"]["tensor_shape"]["dim"]
        assert [side["size"] for side in sides] == ["-1", "7"]
        assert ("labels" in signatures["images"]["outputs"]) == (name == "labels")
        (pooled,) = signatures["features"]["outputs"].values()
        assert [side["size"] for side in pooled["tensor_shape"]["dim"]] == ["-1", "16"]


def test_the_client_in_an_exports_readme_works(
    client: httpx.Client, models: dict[str, ServedModel], tmp_path: Path
) -> None:
    url = str(client.base_url.join("/v1/models/tiny:predict"))
    code = re.search(r"```python\n(.*?)```", card._client(url, SINGLE), re.S)
    assert code
    (tmp_path / "client.py").write_text(code[1], encoding="utf-8")
    (tmp_path / "photo.jpg").write_bytes(JPEG)
    command = [sys.executable, "-I", str(tmp_path / "client.py")]
    run = subprocess.run([*command, str(tmp_path / "photo.jpg")], capture_output=True, check=True)
    refused = subprocess.run([*command, str(tmp_path / "client.py")], capture_output=True, text=True, check=False)
    expected = models["tiny"].predictor.predict(tmp_path / "photo.jpg")[0]
    assert run.stdout.decode("utf-8").splitlines()[0].split()[1] == SHOWN[expected.argmax()]
    assert refused.returncode == 1
    assert refused.stderr.startswith("400: ")


BAD = {
    "no JSON": (b"{", "not JSON"),
    "nothing": (b"", "not JSON"),
    "not UTF-8": (b'{"instances": "\xff"}', "not JSON"),
    "a constant": (b'{"instances": [NaN]}', "NaN is not JSON"),
    "deep": (b"[" * 100_000, "nested"),
    "digits": (b'{"instances": [' + b"9" * 5000 + b"]}", "not JSON"),
    "a list": (b"[]", "expected a JSON object, got a list"),
    "null": (b"null", "got null"),
    "neither": (b"{}", "instances or inputs"),
    "both": (b'{"instances": [], "inputs": []}', "either"),
    "a key": (b'{"instances": [], "instance": []}', "unknown key 'instance'"),
    "a surrogate": (b'{"\\ud800": 1}', "unknown key"),
    "a signature": (b'{"signature_name": "train", "instances": []}', "no signature 'train'"),
    "a signature with a surrogate": (b'{"signature_name": "\\ud800", "instances": []}', "no signature"),
    "a signature of lists": (b'{"signature_name": [[]], "instances": []}', "no signature"),
    "no images": (b'{"instances": []}', "at least one image"),
    "a string": (b'{"instances": "x"}', "a list of images, got a string"),
    "numbers": (b'{"instances": [1]}', "image 0: expected"),
    "another key": (b'{"instances": [{"image": {"b64": ""}}]}', "image_bytes or b64, got ['image']"),
    "b64 of numbers": (b'{"instances": [{"b64": 1}]}', "image 0: expected"),
    "no base64": (b'{"instances": [{"b64": "???"}]}', "image 0: not base64"),
    "no ASCII": ('{"instances": [{"b64": "é"}]}'.encode(), "image 0: not base64"),
    "padding": (b'{"instances": [{"b64": "abc"}]}', "image 0: not base64"),
    "empty": (b'{"instances": [{"b64": ""}]}', "image 0: empty"),
    "text": (image(b"<html>404</html>"), "image 0: not an image"),
    "half a JPEG": (image(JPEG[: len(JPEG) // 2]), "image 0: truncated"),
    "JPEG's magic": (image(JPEG[:3]), "image 0: "),
    "PNG's magic": (image(b"\x89PNG\r\n\x1a\n"), "image 0: "),
    "no image": (b'{"signature_name": "images", "instances": [1, 2]}', "[height, width, 3]"),
    "ragged": (b'{"signature_name": "images", "instances": [[[1, 2, 3]], [[[1, 2, 3]]]]}', "one size"),
    "words": (b'{"signature_name": "images", "instances": [[[["a", "b", "c"]]]]}', "expected numbers"),
    "objects": (b'{"signature_name": "images", "instances": [[[[{}, {}, {}]]]]}', "expected numbers"),
    "nulls": (b'{"signature_name": "images", "instances": [[[[null, 1, 1]]]]}', "too large"),
    "infinite": (b'{"signature_name": "images", "instances": [[[[1e999, 1, 1]]]]}', "too large"),
    "beyond float32": (b'{"signature_name": "images", "instances": [[[[1e39, 1, 1]]]]}', "too large"),
    "no pixels": (b'{"signature_name": "images", "instances": [[[]]]}', "[height, width, 3]"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_a_client_gets_wrong_is_a_400(name: str, client: httpx.Client) -> None:
    body, message = BAD[name]
    response = client.post("/v1/models/tiny:predict", content=body)
    assert response.status_code == 400
    assert message in response.json()["error"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (json.dumps({"instances": [b64(b"")] * 9}).encode(), "8 images"),
        (json.dumps({"signature_name": "images", "instances": [[[[1, 2, 3]]]] * 9}).encode(), "8 images"),
        (
            json.dumps({"instances": [b64(odd_files.encode(odd_files.photo(200, 260), "JPEG"))] * 2}).encode(),
            "0.1 mega",
        ),
        (b" " * 300_001, "300,000 bytes"),
    ],
)
def test_what_is_too_large_is_a_413(client: httpx.Client, body: bytes, message: str) -> None:
    response = client.post("/v1/models/tiny:predict", content=body)
    assert response.status_code == 413
    assert message in response.json()["error"]


def test_the_bad_image_of_several_is_named(client: httpx.Client) -> None:
    rows = [b64(JPEG), b64(JPEG), b64(JPEG[: len(JPEG) // 2])]
    response = client.post("/v1/models/tiny:predict", json={"instances": rows})
    assert response.status_code == 400
    assert response.json()["error"].startswith("image 2: truncated")


def test_other_places(client: httpx.Client) -> None:
    for path in ("other:predict", "tiny/versions/2:predict", "tiny/versions/x:predict", "tiny:classify"):
        response = client.post(f"/v1/models/{path}", content=image(JPEG))
        assert response.status_code in (404, 405), path
        assert response.json()["error"]
    for path in ("other", "tiny/versions/7", "tiny/versions/7/metadata", "%00", "%ff", "..%2f..%2fetc", "tiny/x/y"):
        assert client.get(f"/v1/models/{path}").status_code == 404, path
    assert client.put("/v1/models/tiny").status_code == 405
    figures = client.get("/metrics").text
    assert 'path="/v1/models/{name}/versions/{version}:predict",status="404"' in figures
    assert "%2f" not in figures
    assert "..etc" not in figures


SHAPES = [
    {"instances": {"b64": "abcd"}},
    {"inputs": {"image_bytes": {"b64": "abcd"}}},
    {"inputs": {"images": [[[[1, 2, 3]]]]}, "signature_name": "images"},
    {"signature_name": "images", "inputs": [[[[1, 2, 3], [4, 5, 6]]]]},
    {"instances": [[]], "signature_name": None},
]


def test_nothing_random_is_a_5xx(client: httpx.Client) -> None:
    draw = random.Random(0)
    whole = image(JPEG)
    for _ in range(60):
        body = bytearray(whole if draw.random() < 0.5 else json.dumps(draw.choice(SHAPES)).encode())
        for _ in range(draw.randrange(4)):
            body[draw.randrange(len(body))] = draw.randrange(256)
        response = client.post("/v1/models/tiny:predict", content=bytes(body))
        assert response.status_code in (200, 400), (bytes(body), response.text)
        assert response.json().keys() in ({"predictions"}, {"outputs"}, {"error"})


def test_no_room_is_a_429_and_a_late_answer_a_504(models: dict[str, ServedModel]) -> None:
    with ThreadPoolExecutor(2) as decoders, ThreadPoolExecutor(8) as pool:
        settings = LIMITS.model_copy(update={"queue": 3, "time_limit": 3.0})
        model, go = ServedModel("slow", models["labels"].source, settings, decoders), threading.Event()
        infer = model.batcher.infer

        def held(images: np.ndarray) -> dict[str, np.ndarray]:
            assert go.wait(30)
            return dict(infer(images))

        model.batcher.infer = held
        with running({"slow": model}, settings) as address, httpx.Client(timeout=60) as client:
            sent = [
                pool.submit(client.post, f"{address}/v1/models/slow:predict", content=image(JPEG)) for _ in range(8)
            ]
            codes = sorted(one.result().status_code for one in sent)
            refused = [one.result() for one in sent if one.result().status_code == 429]
            go.set()
            again = client.post(f"{address}/v1/models/slow:predict", content=image(JPEG)).status_code
    assert codes == [429] * 5 + [504] * 3
    for response in refused:
        assert int(response.headers["Retry-After"]) >= 1
        assert "room for 3" in response.json()["error"]
    assert again == 200
