"""The example server, over loopback: TensorFlow Serving's forms, many clients at once, and nothing a client sends is a 500."""

import base64
import json
import random
import re
import socket
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

from examples.serving import load
from examples.serving.rest import MAGIC
from examples.serving.server import Limits, Model, create_app, find
from kerascnn import artefacts
from kerascnn.artefacts import card, savedmodel
from kerascnn.artefacts.predictor import Predictor
from kerascnn.scoring.task import SINGLE
from tests.artefacts import networks
from tests.data import odd_files

pytestmark = pytest.mark.training

NAMES = tuple("abcdefg")


@contextmanager
def served(model: Model, limits: Limits) -> Iterator[str]:
    """A running server's address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(create_app(model, limits), log_level="critical", ws="none"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1/models/{model.name}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved_models") / "tiny"
    return savedmodel.export(networks.tiny(), folder, class_names=NAMES, image_size=32, resize="crop")


@pytest.fixture(scope="module")
def model(version: Path) -> Model:
    return Model(version.parent)


@pytest.fixture(scope="module")
def address(model: Model) -> Iterator[str]:
    with served(model, Limits(body=300_000, images=8)) as url:
        yield url


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """One client: each new one would load all certificates."""
    with httpx.Client(timeout=60) as one:
        yield one


@pytest.fixture(scope="module")
def predictor(version: Path) -> Predictor:
    return artefacts.open(version)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    paths = []
    for i in range(12):
        path = folder / f"{i}.jpg"
        path.write_bytes(odd_files.encode(odd_files.photo(40 + i, 60 - i), "JPEG", quality=95 - i))
        paths.append(path)
    return paths


class Recorded(Model):
    """Keeps what it was asked."""

    def ask(self, signature, images):
        self.__dict__.setdefault("asked", []).append((signature, len(images)))
        return super().ask(signature, images)


def test_every_signature_has_answered_before_the_server_is_there(version: Path) -> None:
    model = Recorded(version)
    with served(model, Limits(batch=4)):
        assert sorted(model.asked) == sorted((name, count) for name in model.inputs for count in (1, 4))


def test_the_only_model_is_found(version: Path, tmp_path: Path, photos: list[Path]) -> None:
    assert find(version.parent.parent) == find(version.parent) == find(version) == version.resolve()
    for name in ("first", "second"):
        (tmp_path / name / "2").mkdir(parents=True)
        (tmp_path / name / "2" / "saved_model.pb").touch()
    assert find(tmp_path / "first").name == "2"
    with pytest.raises(SystemExit, match=r"holds 2 models: name one: .*first, .*second"):
        find(tmp_path)
    with pytest.raises(SystemExit, match="expected a SavedModel"):
        find(version.parent.parent / "nothing")


@pytest.mark.slow
def test_load_finds_the_model_of_a_folder(version: Path, photos: list[Path]) -> None:
    """A server process and clients of a second."""
    script = Path(__file__).resolve().parents[2] / "examples" / "serving" / "load.py"
    flags = ["--serve", str(version.parent.parent), "--seconds", "1", "--clients", "2"]
    done = subprocess.run([sys.executable, script, *flags, *photos[:2]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "errors: 0" in done.stdout


def test_a_server_says_which_model_it_has(address: str) -> None:
    url = address.partition("/v1/")[0]
    assert load.only_model(url) == "tiny"
    with pytest.raises(SystemExit, match="name one with --name"):
        load.only_model(f"{url}/v1")


def b64(path: Path) -> dict[str, str]:
    return {"b64": base64.b64encode(path.read_bytes()).decode()}


@pytest.mark.parametrize("place", ["", "/versions/1"])
def test_every_form_of_a_question_has_the_same_answer(
    address: str, place: str, predictor: Predictor, photos: list[Path], client: httpx.Client
) -> None:
    expected = predictor.predict(photos[:3])
    encoded = [b64(path) for path in photos[:3]]
    for body in (
        {"instances": encoded},
        {"instances": [{"image_bytes": one} for one in encoded]},
        {"signature_name": "serving_default", "instances": encoded},
    ):
        answers = client.post(f"{address}{place}:predict", json=body).raise_for_status().json()["predictions"]
        assert [answer.keys() for answer in answers] == [answers[0].keys()] * 3
        np.testing.assert_allclose([answer["probabilities"] for answer in answers], expected, atol=1e-5)
        assert [answer["classes"][0] for answer in answers] == [NAMES[i] for i in expected.argmax(axis=1)]
        np.testing.assert_allclose([answer["scores"][0] for answer in answers], expected.max(axis=1), atol=1e-5)
    for body in ({"inputs": encoded}, {"inputs": {"image_bytes": encoded}}):
        outputs = client.post(f"{address}{place}:predict", json=body).raise_for_status().json()["outputs"]
        np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-5)


def test_the_client_in_an_exports_readme_works(
    address: str, photos: list[Path], predictor: Predictor, tmp_path: Path
) -> None:
    code = re.search(r"```python\n(.*?)```", card._client(f"{address}:predict", SINGLE), re.S)
    assert code
    (tmp_path / "client.py").write_text(code[1], encoding="utf-8")
    client = [sys.executable, "-I", str(tmp_path / "client.py")]
    answer = subprocess.run([*client, str(photos[0])], capture_output=True, text=True, check=True).stdout
    assert answer.splitlines()[0].split()[1] == NAMES[predictor.predict(photos[0])[0].argmax()]
    refused = subprocess.run([*client, str(tmp_path / "client.py")], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith("400: ")


def test_pixels_are_an_input_too(address: str, predictor: Predictor, client: httpx.Client) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 20, 24, 3))
    expected = predictor.predict(list(images.astype("uint8")))
    for instances in (images.tolist(), [{"images": image.tolist()} for image in images]):
        body = {"signature_name": "images", "instances": instances}
        answers = client.post(f"{address}:predict", json=body).raise_for_status().json()["predictions"]
        np.testing.assert_allclose([answer["probabilities"] for answer in answers], expected, atol=1e-5)


def test_features_are_a_signature_with_one_output(address: str, version: Path, client: httpx.Client) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3))
    loaded = tf.saved_model.load(str(version))
    expected = loaded.signatures["features"](images=tf.constant(images, tf.float32))["features"]
    for form, answered in (("instances", "predictions"), ("inputs", "outputs")):
        body = {"signature_name": "features", form: images.tolist()}
        found = client.post(f"{address}:predict", json=body).raise_for_status().json()[answered]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_state_and_metadata(address: str, client: httpx.Client) -> None:
    for place in ("", "/versions/1"):
        (status,) = client.get(f"{address}{place}").raise_for_status().json()["model_version_status"]
        assert (status["version"], status["state"]) == ("1", "AVAILABLE")
        found = client.get(f"{address}{place}/metadata").raise_for_status().json()
        assert found["model_spec"]["name"] == "tiny"
        signatures = found["metadata"]["signature_def"]["signature_def"]
        assert signatures["serving_default"]["inputs"]["image_bytes"]["dtype"] == "DT_STRING"
        assert signatures["images"]["inputs"]["images"]["dtype"] == "DT_FLOAT"
        sides = signatures["images"]["outputs"]["probabilities"]["tensor_shape"]["dim"]
        assert [side["size"] for side in sides] == ["-1", "7"]


JPEG = odd_files.encode(odd_files.photo(), "JPEG")


def image(content: bytes) -> bytes:
    return json.dumps({"instances": [{"b64": base64.b64encode(content).decode()}]}).encode()


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
    "a signature of lists": (b'{"signature_name": [[]], "instances": []}', "no signature"),
    "no images": (b'{"instances": []}', "1 to 8 images, got 0"),
    "too many": (json.dumps({"instances": [{"b64": ""}] * 9}).encode(), "1 to 8 images, got 9"),
    "a string": (b'{"instances": "x"}', "a list of images, got a string"),
    "numbers": (b'{"instances": [1]}', "image 0: expected"),
    "another key": (b'{"instances": [{"image": {"b64": ""}}]}', "image_bytes or b64, got ['image']"),
    "b64 of numbers": (b'{"instances": [{"b64": 1}]}', "image 0: expected"),
    "no base64": (b'{"instances": [{"b64": "???"}]}', "image 0: not base64"),
    "no ASCII": ('{"instances": [{"b64": "é"}]}'.encode(), "image 0: not base64"),
    "padding": (b'{"instances": [{"b64": "abc"}]}', "image 0: not base64"),
    "empty": (b'{"instances": [{"b64": ""}]}', "bytes of a JPEG or PNG"),
    "text": (image(b"<html>404</html>"), "bytes of a JPEG or PNG"),
    "GIF": (image(odd_files.encode(odd_files.photo(), "GIF")), "bytes of a JPEG or PNG"),
    "half a JPEG": (image(JPEG[: len(JPEG) // 2]), "image 0: "),
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
def test_what_a_client_gets_wrong_is_a_400(name: str, address: str, client: httpx.Client) -> None:
    body, message = BAD[name]
    response = client.post(f"{address}:predict", content=body)
    assert response.status_code == 400
    assert message in response.json()["error"]
    assert "{{" not in response.text


def test_broken_files_are_a_400(address: str, tmp_path: Path, client: httpx.Client) -> None:
    made = [odd for odd in odd_files.make(tmp_path) if odd.reason is not None and odd.path.is_file()]
    broken = [odd for odd in made if odd.path.read_bytes().startswith(tuple(MAGIC))]
    assert len(broken) >= 10
    for odd in broken:
        response = client.post(f"{address}:predict", content=image(odd.path.read_bytes()))
        assert response.status_code == 400, (odd.path.name, response.text)
        if odd.reason == "pixels":
            assert "pixels in a request" in response.json()["error"]


def test_the_bad_image_of_several_is_named(address: str, photos: list[Path], client: httpx.Client) -> None:
    broken = {"b64": base64.b64encode(JPEG[: len(JPEG) // 2]).decode()}
    response = client.post(f"{address}:predict", json={"instances": [b64(photos[0]), b64(photos[1]), broken]})
    assert response.status_code == 400
    assert response.json()["error"].startswith("image 2: ")


def test_other_places(address: str, client: httpx.Client) -> None:
    root = address.removesuffix("tiny")
    for path in ("other:predict", "tiny/versions/2:predict", "tiny/versions/x:predict"):
        response = client.post(root + path, content=image(JPEG))
        assert response.status_code == 404, path
        assert "this server has tiny, version 1" in response.json()["error"]
    for path in ("other", "tiny/versions/7", "tiny/versions/7/metadata", "%00", "..%2f..%2fetc", "tiny/x/y"):
        assert client.get(root + path).status_code == 404, path
    assert client.get(f"{address}:predict").status_code in (404, 405)
    assert client.put(address).status_code == 405


def test_a_large_body_is_a_413(address: str, client: httpx.Client) -> None:
    large = b" " * 300_001

    def parts() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 10_000

    for content in (large, parts()):
        response = client.post(f"{address}:predict", content=content)
        assert response.status_code == 413
        assert "300000 bytes" in response.json()["error"]


def test_a_slow_body_is_a_408(model: Model) -> None:
    with served(model, Limits(seconds=0.2)) as url:
        host, port = url.split("/")[2].split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"POST /v1/models/tiny:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
            assert connection.recv(100).startswith(b"HTTP/1.1 408 ")


def test_a_client_that_goes_away_harms_nobody(address: str, client: httpx.Client) -> None:
    host, port = address.split("/")[2].split(":")
    for sent in (
        b"POST /v1/models/tiny:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{",
        b"\xff\xff\r\n\r\n",
    ):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(sent)
    assert client.get(address).status_code == 200


def test_many_clients_at_once(address: str, predictor: Predictor, photos: list[Path], client: httpx.Client) -> None:
    expected = predictor.predict(photos).argmax(axis=1)
    broken = image(JPEG[: len(JPEG) // 2])

    def one(number: int) -> None:
        draw = random.Random(number)
        for _ in range(8):
            place = draw.randrange(len(photos) + 3)
            good = place < len(photos)
            body = image(photos[place].read_bytes()) if good else broken
            response = client.post(f"{address}:predict", content=body)
            assert response.status_code == (200 if good else 400), response.text
            if good:
                (answer,) = response.json()["predictions"]
                assert answer["classes"][0] == NAMES[expected[place]]

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(one, range(16)))


def test_no_room_is_a_503(version: Path, client: httpx.Client) -> None:
    slow, go = Model(version.parent), threading.Event()
    ask = slow.ask

    def held(*question):
        assert go.wait(30)
        return ask(*question)

    slow.ask = held  # type: ignore[method-assign]
    slow.warm = lambda batch: None  # type: ignore[method-assign]
    with served(slow, Limits(queue=3)) as url, ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(client.post, f"{url}:predict", content=image(JPEG), timeout=60) for _ in range(8)]
        while sum(one.done() for one in sent) < 5:
            time.sleep(0.01)
        refused = [one.result() for one in sent if one.done()]
        go.set()
        codes = sorted(one.result().status_code for one in sent)
    assert codes == [200] * 3 + [503] * 5
    for response in refused:
        assert int(response.headers["Retry-After"]) >= 1
        assert "room for 3" in response.json()["error"]


def test_a_model_that_fails_is_a_503_and_the_next_is_answered(version: Path, client: httpx.Client) -> None:
    failing = Model(version.parent)
    ask, calls = failing.ask, []

    def once(*question):
        calls.append(question)
        if len(calls) == 1:
            raise MemoryError
        return ask(*question)

    failing.ask = once  # type: ignore[method-assign]
    failing.warm = lambda batch: None  # type: ignore[method-assign]
    with served(failing, Limits()) as url:
        assert [client.post(f"{url}:predict", content=image(JPEG)).status_code for _ in range(2)] == [503, 200]


def test_nothing_random_is_a_500(address: str, client: httpx.Client) -> None:
    draw = random.Random(0)
    whole = image(JPEG)
    for _ in range(60):
        body = bytearray(whole if draw.random() < 0.5 else json.dumps(draw.choice(SHAPES)).encode())
        for _ in range(draw.randrange(4)):
            body[draw.randrange(len(body))] = draw.randrange(256)
        response = client.post(f"{address}:predict", content=bytes(body))
        assert response.status_code in (200, 400), (bytes(body), response.text)
        assert response.json().keys() in ({"predictions"}, {"outputs"}, {"error"})


SHAPES = [
    {"instances": {"b64": "abcd"}},
    {"inputs": {"image_bytes": {"b64": "abcd"}}},
    {"inputs": {"images": [[[[1, 2, 3]]]]}, "signature_name": "images"},
    {"signature_name": "images", "inputs": [[[[1, 2, 3], [4, 5, 6]]]]},
    {"instances": [[]], "signature_name": None},
]
