"""Pages of other origins may ask only where the server says so."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from kerascnn.config.section import FieldError
from kerascnn.serving import app
from kerascnn.serving.serve_config import Serve
from kerascnn.serving.served_model import ServedModel
from tests.artefacts import further_files

PAGE = "https://example.org"
LEAVE = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "Authorization"}


@pytest.mark.parametrize(
    ("allowed", "origin", "answered"),
    [
        ((), PAGE, None),
        ((PAGE,), PAGE, PAGE),
        ((PAGE,), "https://example.com", None),
        ((PAGE, "http://localhost:3000"), "http://localhost:3000", "http://localhost:3000"),
        (("*",), PAGE, "*"),
    ],
)
def test_only_allowed_origins_may_ask(
    allowed: tuple[str, ...], origin: str, answered: str | None, tmp_path: Path
) -> None:
    further_files.onnx_file(tmp_path / "model.onnx")
    settings = Serve(artefacts=("m",), allow_origin=allowed)
    with ThreadPoolExecutor(1) as decoders:
        model = ServedModel("m", tmp_path / "model.onnx", settings, decoders)
        with TestClient(app.create_app({"m": model}, settings, "secret")) as client:
            for response in (
                client.options("/predict", headers={"Origin": origin, **LEAVE}),
                client.get("/healthz", headers={"Origin": origin}),
                client.post("/predict", headers={"Origin": origin}),  # without a token: the page reads why
            ):
                assert response.headers.get("access-control-allow-origin") == answered
            assert client.options("/predict", headers={"Origin": origin, **LEAVE}).is_success == (answered is not None)
            assert client.post("/predict", headers={"Origin": origin}).status_code == 401


@pytest.mark.parametrize("origin", ["example.org", "https://example.org/", "ftp://example.org", "https://a b", ""])
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(FieldError, match="expected an origin"):
        Serve(artefacts=("m",), allow_origin=(origin,))
