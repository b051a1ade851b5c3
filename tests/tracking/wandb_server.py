"""A server in the place of W&B, as far as `wandb sync` goes: it keeps what a run has been told."""

import contextlib
import gzip
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PROJECT = {"id": "p", "name": "kerascnn", "entity": {"id": "e", "name": "me"}}


class Server:
    """What the server knows of one run.

    Attributes:
        url: Its address.
        history: Rows that were logged, by their number.
        summary: Final values.
        groups: Groups that it was put into.
        identifiers: Names of runs that were sent.
        files: Names of uploaded files.
    """

    def __init__(self) -> None:
        self.url = ""
        self.history: dict[int, dict[str, Any]] = {}
        self.summary: dict[str, Any] = {}
        self.groups: set[str] = set()
        self.identifiers: set[str] = set()
        self.files: set[str] = set()

    def graphql(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        """The answer to a query of W&B's client."""
        bucket = {"id": "b", "name": given.get("name"), "displayName": "a", "config": "{}", "project": PROJECT}
        if name == "UpsertBucket":
            self.groups |= {given["groupName"]} - {None}
            self.identifiers.add(given["name"])
            return {"upsertBucket": {"bucket": bucket, "inserted": not self.history}}
        if name == "CreateRunFiles":
            files = [{"name": each, "uploadUrl": f"{self.url}/put/{each}"} for each in given["files"]]
            return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}
        if name == "RunResumeStatus":
            tail = [json.dumps(self.history[max(self.history)])] if self.history else []
            counts = {"historyLineCount": len(self.history), "eventsLineCount": 0, "logLineCount": 0}
            kept = {
                "historyTail": json.dumps(tail),
                "eventsTail": "[]",
                "summaryMetrics": "{}",
                "wandbConfig": '{"t": 1}',
            }
            return {"model": {**PROJECT, "bucket": {**bucket, **counts, **kept, "tags": []} if self.history else None}}
        return {}

    def stream(self, files: dict[str, Any]) -> None:
        """Takes lines of files, from an offset on."""
        for name, value in files.items():
            if name == "wandb-history.jsonl":
                self.history |= {value["offset"] + i: json.loads(line) for i, line in enumerate(value["content"])}
            elif name == "wandb-summary.json":
                self.summary = json.loads(value["content"][-1])


def handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words: object) -> None:
            """Says nothing."""

        def do_POST(self) -> None:
            body, found = self.body(), {}
            if self.path == "/graphql":
                asked = json.loads(body)
                named = re.search(r"(?:query|mutation)\s+(\w+)", asked["query"])
                found = {"data": server.graphql(named[1] if named else "", asked.get("variables") or {})}
            elif "file_stream" in self.path:
                server.stream(json.loads(body).get("files") or {})
            self.answer(found)

        def do_PUT(self) -> None:
            self.body()
            server.files.add(self.path.removeprefix("/put/"))
            self.answer({})

        def do_GET(self) -> None:
            self.answer({})

        def body(self) -> bytes:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            return gzip.decompress(content) if self.headers.get("Content-Encoding") == "gzip" else content

        def answer(self, value: dict[str, Any]) -> None:
            content = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    return Handler


@contextlib.contextmanager
def loopback() -> Iterator[Server]:
    """Yields a server that listens until the context ends."""
    server = Server()
    listening = ThreadingHTTPServer(("127.0.0.1", 0), handler(server))
    server.url = f"http://127.0.0.1:{listening.server_port}"
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield server
    listening.shutdown()
    listening.server_close()
