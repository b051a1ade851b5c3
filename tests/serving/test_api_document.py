"""The description of the server: it names every route, real answers fit it, and its page loads its own style sheet alone."""

import base64
import html
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from kerascnn.runs import finding
from kerascnn.serving import api_routes, app
from kerascnn.serving.api_document import document
from kerascnn.serving.serve_config import Serve
from kerascnn.serving.served_model import ServedModel
from tests.data import odd_files

pytestmark = pytest.mark.training
jsonschema = pytest.importorskip("jsonschema", reason="needs jsonschema (moto of the extra test brings it)")

PHOTO = odd_files.encode(odd_files.photo(), "PNG")
ASKED = {"instances": [{"b64": base64.b64encode(PHOTO).decode()}]}
HEAD = {"Authorization": "Bearer secret"}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    settings = Serve(artefacts=("demo",), max_batch=1)
    with ThreadPoolExecutor(1) as decoders:
        model = ServedModel("demo", finding.find("demo"), settings, decoders)
        with TestClient(app.create_app({"demo": model}, settings, "secret")) as one:
            yield one


def test_it_names_every_route_and_nothing_else(client: TestClient) -> None:
    own = {api_routes.DOCS, api_routes.DOCUMENT, api_routes.STYLE, "/"}
    application: Any = client.app
    routes = {
        (route.path, method.lower())
        for route in application.routes
        if isinstance(route, APIRoute) and route.path not in own
        for method in route.methods
    }
    assert routes == {
        (path, method) for path, item in document()["paths"].items() for method in item if method in METHODS
    }


METHODS = ("get", "post")


@pytest.mark.parametrize(
    ("method", "path", "given", "pattern", "status"),
    [
        ("get", "/api/models", {}, "/api/models", 200),
        ("get", "/v1/models/demo", {}, "/v1/models/{name}", 200),
        ("get", "/v1/models/demo/metadata", {}, "/v1/models/{name}/metadata", 200),
        ("get", "/v1/models/other", {}, "/v1/models/{name}", 404),
        ("post", "/v1/models/demo:predict", {"json": ASKED}, "/v1/models/{name}:predict", 200),
        ("post", "/v1/models/demo:predict", {"json": {}}, "/v1/models/{name}:predict", 400),
        ("post", "/predict?cam=grad-cam", {"files": {"image": ("a.png", PHOTO)}}, "/predict", 200),
        ("post", "/predict", {"content": b"x"}, "/predict", 400),
        ("post", "/predict", {"data": {"a": "1"}}, "/predict", 415),
    ],
)
def test_real_answers_fit_it(
    client: TestClient, method: str, path: str, given: dict[str, Any], pattern: str, status: int
) -> None:
    response = client.request(method, path, headers=HEAD, **given)
    assert response.status_code == status
    said = document()
    schema = said["paths"][pattern][method]["responses"][str(status)]["content"]["application/json"]["schema"]
    jsonschema.validate(response.json(), {**schema, "components": said["components"]})


def test_the_description_is_served_without_a_token(client: TestClient) -> None:
    assert client.get("/openapi.json").json() == document()
    page = client.get("/docs")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert re.findall(r'(?:src|href)="([^#"]*)"', page.text) == ["docs/style.css", "openapi.json"]
    assert not re.search(r"<script|style=|\bon\w+=|https?://(?!127\.0\.0\.1)", page.text)
    assert client.get("/docs/style.css").headers["content-type"].startswith("text/css")
    shown = html.unescape(re.sub(r"<[^>]+>", "", page.text))
    for path, item in document()["paths"].items():
        for method in METHODS:
            assert (f"{method.upper()} {path}\n" in shown) == (method in item)
