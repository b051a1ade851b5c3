"""A server in the place of the Hugging Face hub, as far as publishing and pulling a model go: its files are kept in memory."""

import base64
import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT, TOKEN = "0123456789abcdef0123456789abcdef01234567", "hf_loopback"


class Hub:
    """What the server has taken.

    Attributes:
        url: Its address.
        files: Content of each file of the one repository.
        created: Bodies of the requests that made it.
        titles: Titles of the commits.
    """

    def __init__(self) -> None:
        self.url = ""
        self.files: dict[str, bytes] = {}
        self.objects: dict[str, bytes] = {}
        self.created: list[dict] = []
        self.titles: list[str] = []

    def commit(self, lines: list[dict]) -> None:
        """Takes a commit, as lines of JSON."""
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.titles.append(value["summary"])
            elif line["key"] == "file":
                self.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.files[value["path"]] = self.objects[value["oid"]]


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of the client library from `hub`."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *words: object) -> None:
        """Says nothing."""

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, value: object, status: int = 200, **headers: str) -> None:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def do_POST(self) -> None:
        content, path = self.body(), urlsplit(self.path).path
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer({"error": "Invalid username or password."}, 401)
        elif path == "/api/repos/create":
            self.hub.created.append(json.loads(content))
            self.answer({"url": f"{self.hub.url}/someone/birds"})
        elif "/preupload/" in path:
            files = [
                {
                    "path": each["path"],
                    "uploadMode": "lfs" if each["path"].endswith((".keras", ".pb", ".onnx")) else "regular",
                    "shouldIgnore": False,
                }
                for each in json.loads(content)["files"]
            ]
            self.answer({"files": files})
        elif path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**each, "actions": {"upload": {"href": f"{self.hub.url}/objects/{each['oid']}"}}}
                for each in json.loads(content)["objects"]
            ]
            self.answer({"transfer": "basic", "objects": objects})
        elif "/commit/" in path:
            self.hub.commit([json.loads(line) for line in content.splitlines()])
            self.answer({"commitUrl": f"{self.hub.url}/someone/birds/commit/{COMMIT}", "commitOid": COMMIT})
        else:
            self.answer({}, 200 if "validate-yaml" in path else 404)

    def do_PUT(self) -> None:
        content = self.body()
        oid = hashlib.sha256(content).hexdigest()
        assert self.path == f"/objects/{oid}"
        self.hub.objects[oid] = content
        self.answer(b"")

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if "/resolve/" not in path:
            self.answer({"id": "someone/birds", "sha": COMMIT, "siblings": [{"rfilename": n} for n in self.hub.files]})
            return
        name = path.split("/resolve/")[1].partition("/")[2]
        if name not in self.hub.files:
            self.answer({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
            return
        content = self.hub.files[name]
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        self.answer(content, X_Repo_Commit=COMMIT, ETag=etag, X_Linked_ETag=etag, X_Linked_Size=str(len(content)))

    do_HEAD = do_GET  # noqa: N815


@contextlib.contextmanager
def loopback() -> Iterator[Hub]:
    """Yields a hub that listens until the context ends."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OfThisHub", (Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield hub
    server.shutdown()
    server.server_close()
