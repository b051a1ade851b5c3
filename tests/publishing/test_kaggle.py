"""A folder goes to Kaggle by Kaggle's own library, to a server in Kaggle's place."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kerascnn.errors import UserError
from kerascnn.publishing import destination, kaggle

pytest.importorskip("kagglehub", reason="needs the extra kaggle")
BIRDS = destination.parse("kaggle://me/birds")


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, dict]]]:
    """Each request that Kaggle's library has sent: the last part of its address, and its JSON."""
    from kagglesdk import kaggle_env

    seen: list[tuple[str, dict]] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            """Says nothing."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen.append((self.path.rpartition("/")[2], json.loads(body)))
            content = {"id": 1, "token": seen[-1][1].get("name", ""), "createUrl": f"{address}/blob", "error": ""}
            self.answer(404 if seen[-1][0] == "GetModel" else 200, content)

        def do_PUT(self) -> None:
            seen.append(("blob", {"content": self.rfile.read(int(self.headers["Content-Length"])).decode()}))
            self.answer(200, {})

        def answer(self, status: int, value: dict) -> None:
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, address)
    monkeypatch.setenv("KAGGLE_USERNAME", "me")
    monkeypatch.setenv("KAGGLE_KEY", "key")
    yield seen
    server.shutdown()
    server.server_close()


def test_the_folder_becomes_a_keras_variation(requests: list[tuple[str, dict]], tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "README.md").write_text("a card")
    (tmp_path / "assets" / "classes.txt").write_text("a\nb\n")
    kaggle.check()
    address = kaggle.push(tmp_path, BIRDS, license_name="Apache 2.0", message="first")
    assert address.endswith("/models/me/birds/keras/default")
    sent = dict(requests)
    assert sent["CreateModel"]["isPrivate"]
    body = sent["CreateModelInstance"]["body"]
    assert (body["framework"], body["licenseName"]) == ("MODEL_FRAMEWORK_KERAS", "Apache 2.0")
    assert [each["name"] for each in body["directories"]] == ["assets"]
    assert {value["content"] for name, value in requests if name == "blob"} == {"a card", "a\nb\n"}


def test_without_credentials_it_is_a_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    with pytest.raises(UserError, match=r"kaggle\.json"):
        kaggle.check()
