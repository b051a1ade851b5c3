"""Serve a SavedModel of kerascnn over HTTP, with TensorFlow Serving's REST paths. Needs tensorflow, fastapi and uvicorn only.

    python -m examples.serving.server saved_models/ants_bees --port 8501

    POST /v1/models/NAME[/versions/N]:predict    {"instances": [{"b64": "..."}]}
    GET  /v1/models                              the model's name and version (TensorFlow Serving has no such path)
    GET  /v1/models/NAME[/versions/N]            the state of the version
    GET  /v1/models/NAME[/versions/N]/metadata   the signatures

Errors are {"error": "..."}: 400 for what the client got wrong, 404 for another model or version, 408 for a body that does not
come, 413 for one that is too large, 503 with Retry-After while the queue is full.
"""

import argparse
import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # TensorFlow leaves it off on CPUs with AVX2 and nothing newer

import anyio
import numpy as np
import tensorflow as tf
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from examples.serving.batching import Batcher, Busy, Outputs
from examples.serving.rest import DEFAULT, BadRequest, Input, parse, render

THROWN = 8  # so many times the largest body is read of one that is too large


class Limits(NamedTuple):
    """What one server takes on.

    Attributes:
        body: Bytes of a request.
        held: Bytes of all requests that are being read or answered.
        images: Images of a request.
        pixels: Pixels of all images of a request: 25 million take a second of one core to decode.
        batch: Images that the model sees at once.
        queue: Images that may wait.
        seconds: Time for a request's body to arrive.
    """

    body: int = 32 * 2**20
    held: int = 256 * 2**20
    images: int = 64
    pixels: int = 100_000_000
    batch: int = 16
    queue: int = 256
    seconds: float = 30.0


class Model:
    """One version of a SavedModel.

    Args:
        path: `saved_models/<name>`, whose highest version is served, a version's directory, or a folder with one such model.
        name: By default the folder's.
    """

    def __init__(self, path: Path, name: str | None = None) -> None:
        version = find(path)
        self.name, self.version = name or version.parent.name, version.name
        self._loaded = tf.saved_model.load(str(version))  # the signatures alone would not keep the weights alive
        specs = {key: made.structured_input_signature[1] for key, made in self._loaded.signatures.items()}
        self.inputs = {
            key: Input(name, spec.dtype == tf.string)
            for key, named in specs.items()
            if len(named) == 1
            for name, spec in named.items()
        }
        if DEFAULT not in self.inputs:
            raise SystemExit(
                f"{version}: expected a signature {DEFAULT} with one input, got {', '.join(specs) or 'none'}"
            )

    def ask(self, signature: str, images: list[bytes] | np.ndarray) -> Outputs:
        """The signature's outputs, one row per image.

        Raises:
            BadRequest: An image cannot be decoded, or has too many pixels.
        """
        try:
            outputs = self._loaded.signatures[signature](**{self.inputs[signature].name: tf.constant(images)})
        except (tf.errors.InvalidArgumentError, tf.errors.UnknownError) as error:
            raise BadRequest(_plain(error.message)) from None
        return {name: value.numpy() for name, value in sorted(outputs.items())}

    def warm(self, batch: int) -> None:
        """Ask every signature once for one image and once for `batch`, so that no client waits for what comes with a first call.

        That is TensorFlow's rewriting of the graph and the making of kernels for these shapes: seconds for a large network.
        """
        blank = tf.io.encode_jpeg(tf.zeros([64, 64, 3], tf.uint8)).numpy()
        for name, own in self.inputs.items():
            spec = self._loaded.signatures[name].structured_input_signature[1][own.name]
            for count in (1, batch):
                pixels = np.zeros((count, *(side or 64 for side in spec.shape[1:])), "float32")
                self.ask(name, [blank] * count if own.encoded else pixels)

    def metadata(self) -> dict[str, Any]:
        """Inputs and outputs of each signature, as TensorFlow Serving describes them."""
        described = {}
        for name in self.inputs:
            function = self._loaded.signatures[name]
            inputs = function.structured_input_signature[1]
            described[name] = {
                "inputs": {key: _tensor(spec) for key, spec in inputs.items()},
                "outputs": {key: _tensor(spec) for key, spec in function.structured_outputs.items()},
                "method_name": "tensorflow/serving/predict",
            }
        return {"signature_def": {"signature_def": described}}


def find(path: Path) -> Path:
    """The newest version of the model at `path`, or of the only model below it."""
    path = path.resolve()
    if found := _version(path):
        return found
    below = sorted(entry for entry in path.iterdir() if entry.is_dir() and _version(entry)) if path.is_dir() else []
    if len(below) > 1:
        raise SystemExit(f"{path} holds {len(below)} models: name one: {', '.join(str(model) for model in below)}")
    for model in below:
        if found := _version(model):
            return found
    raise SystemExit(f"{path}: expected a SavedModel, or a folder with versions 1, 2, ... of one")


def _version(path: Path) -> Path | None:
    numbers = sorted(int(entry.name) for entry in path.iterdir() if entry.name.isdecimal()) if path.is_dir() else []
    version = path / str(numbers[-1]) if numbers else path
    return version if (version / "saved_model.pb").is_file() else None


def _tensor(spec: Any) -> dict[str, Any]:
    size = [{"size": str(-1 if side is None else side), "name": ""} for side in spec.shape]
    return {"dtype": f"DT_{spec.dtype.name.upper().replace('32', '')}", "tensor_shape": {"dim": size}}


def _plain(message: str) -> str:
    """TensorFlow's message between the trace and the names of its node and op."""
    said = re.split(r"\s*\[\[\{\{|\s*\[Op:", message, maxsplit=1)[0]
    return said.rpartition("\n")[2].removeprefix("assertion failed: ").replace("\\'", "'")[:300]


def create_app(model: Model, limits: Limits = Limits()) -> FastAPI:  # noqa: B008 - a constant
    """The server of one model."""
    batcher, intake = Batcher(model.ask, limits.batch, limits.queue), Intake(limits)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(model.warm, limits.batch)  # before uvicorn says "startup complete"
        worker = asyncio.create_task(batcher.run())
        yield
        worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await worker

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)

    async def predict(request: Request, name: str, version: str | None = None) -> JSONResponse:
        _check(model, name, version)
        async with intake.body(request) as body:
            question = await asyncio.to_thread(parse, body, model.inputs, limits.images, limits.pixels)
            outputs = await batcher.put(question)
            return JSONResponse(await asyncio.to_thread(render, question, outputs))

    async def state(name: str, version: str | None = None) -> dict[str, Any]:
        _check(model, name, version)
        status = {"error_code": "OK", "error_message": ""}
        return {"model_version_status": [{"version": model.version, "state": "AVAILABLE", "status": status}]}

    async def metadata(name: str, version: str | None = None) -> dict[str, Any]:
        _check(model, name, version)
        spec = {"name": model.name, "signature_name": "", "version": model.version}
        return {"model_spec": spec, "metadata": model.metadata()}

    async def listed() -> dict[str, Any]:
        return {"models": [{"name": model.name, "version": model.version}]}

    app.get("/v1/models")(listed)
    for place in ("/v1/models/{name}/versions/{version}", "/v1/models/{name}"):
        app.post(f"{place}:predict")(predict)
        app.get(f"{place}/metadata")(metadata)
        app.get(place)(state)
    for kind in (BadRequest, Busy, HTTPException):
        app.exception_handler(kind)(_error)
    return app


def _check(model: Model, name: str, version: str | None) -> None:
    if name != model.name or version not in (None, model.version):
        asked = f"{name}, version {version}" if version else name
        raise HTTPException(404, f"no model {asked}: this server has {model.name}, version {model.version}")


class Intake:
    """Reads requests' bodies in bounded memory and time."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.held = 0

    @contextlib.asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """The body; its bytes count as held until the answer is there.

        Raises:
            HTTPException: It is too large, too slow, or ends in the middle.
            Busy: Too much is held already.
        """
        parts: list[bytes] = []
        try:
            try:
                with anyio.fail_after(self.limits.seconds):
                    await self._read(request, parts)
            except TimeoutError:
                raise HTTPException(408, f"the request did not arrive within {self.limits.seconds:g} s") from None
            except ClientDisconnect:
                raise HTTPException(400, "the request ended in the middle") from None
            yield b"".join(parts)
        finally:
            self.held -= sum(map(len, parts))

    async def _read(self, request: Request, parts: list[bytes]) -> None:
        """Append what comes; of what is too large the rest is thrown away, so that the client can read why."""
        size = 0
        async for part in request.stream():
            size += len(part)
            if size <= self.limits.body:
                parts.append(part)
                self.held += len(part)
                if self.held > self.limits.held:
                    raise Busy(f"{self.held} bytes of requests are waiting, and there is room for {self.limits.held}")
            elif size > THROWN * self.limits.body:
                break
        if size > self.limits.body:
            raise HTTPException(413, f"a request may have {self.limits.body} bytes")


async def _error(request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else error.status  # type: ignore[attr-defined]
    message = error.detail if isinstance(error, HTTPException) else str(error)
    headers = {"Retry-After": "1"} if status == 503 else {"Connection": "close"} if status in (408, 413) else {}
    return JSONResponse({"error": message}, status, headers)


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "model", type=Path, help="saved_models/<name>, a version below it, or saved_models with one model"
    )
    parser.add_argument("--name", help="the model's name in the paths (default: the folder's)")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 is reachable from outside (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8501, help="default: %(default)s, TensorFlow Serving's")
    for key, value in Limits()._asdict().items():
        parser.add_argument(f"--max-{key}", type=type(value), default=value, help="default: %(default)s")
    given = parser.parse_args()
    limits = Limits(**{key: getattr(given, f"max_{key}") for key in Limits._fields})
    model = Model(given.model, given.name)
    uvicorn.run(create_app(model, limits), host=given.host, port=given.port, access_log=False)


if __name__ == "__main__":
    main()
