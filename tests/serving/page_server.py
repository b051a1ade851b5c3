"""A small server of the page for its tests: the paths that the page uses, around real predictors.

python -m tests.serving.page_server PORT RUN [RUN]
"""

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles

import kerascnn.serving as package
from kerascnn import artefacts
from kerascnn.artefacts import Predictor
from kerascnn.data import decode
from kerascnn.serving import class_map

PAGE = Path(next(iter(package.__path__))) / "page"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class PageServer:
    """A running server: `url`; `busy`, how many requests are still answered with 429; `seconds`, what each takes longer."""

    def __init__(self, predictors: Mapping[str, Predictor]) -> None:
        self.predictors, self.busy, self.seconds, self.asked = predictors, 0, 0.0, 0
        self._lock = threading.Lock()  # one network at a time
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        config = uvicorn.Config(self._app(), log_level="critical", ws="none", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listening],))
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def stop(self) -> None:
        """Stops, also in the middle of a request."""
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()

    def _app(self) -> FastAPI:
        app = FastAPI(openapi_url=None)

        @app.middleware("http")
        async def policy(request: Request, following: Any) -> Response:
            response = await following(request)
            response.headers["Content-Security-Policy"] = POLICY
            return response

        app.get("/")(lambda: FileResponse(PAGE / "index.html"))
        app.get("/api/models")(lambda: {"models": [_described(*item) for item in self.predictors.items()]})
        app.mount("/page", StaticFiles(directory=PAGE))

        @app.post("/predict")
        async def predict(request: Request, model: str, top: int = 5, cam: str | None = None) -> JSONResponse:
            self.asked += 1
            if self.busy > 0:
                self.busy -= 1
                return JSONResponse({"error": "the queue is full"}, 429, {"Retry-After": "0.1"})
            async with request.form() as form:
                sent = form["image"]
                content, name = await sent.read(), sent.filename
            found = await tf_thread(self._result, content, name, self.predictors[model], top, cam)
            return JSONResponse({"model": model, "version": "1", "results": [found]})

        return app

    def _result(self, content: bytes, name: str, predictor: Predictor, top: int, cam: str | None) -> dict[str, Any]:
        time.sleep(self.seconds)
        empty = {"file": name, "top": [], "in_set": None, "known": None, "overlay": None, "neighbors": None}
        if problem := decode.problem_of(content):
            return {**empty, "error": problem}
        pixels = decode.preprocess(decode.native(tf.constant(content)), predictor.image_size, predictor.resize).numpy()
        with self._lock:
            row = predictor.predict(pixels)[0]
            first = np.argsort(-row)[:top]
            ranked = [{"class": predictor.class_names[i], "probability": float(row[i])} for i in first]
            facts = predictor.network, content, int(first[0]), predictor.image_size, predictor.resize
            return {**empty, "top": ranked, "error": None, "overlay": class_map.class_map(*facts) if cam else None}


async def tf_thread(function: Any, *given: Any) -> Any:
    """Runs a function in a thread of the pool."""
    from anyio import to_thread

    return await to_thread.run_sync(function, *given)


def _described(name: str, predictor: Predictor) -> dict[str, Any]:
    offers = {"cam": class_map.offered(predictor.network), "neighbors": False, "sets": False, "known": False}
    return {
        "name": name,
        "version": "1",
        "format": "run",
        "classes": list(predictor.class_names),
        "input": {"size": predictor.image_size, "resize": predictor.resize},
        "several_labels": predictor.task.several,
        "offers": offers,
    }


@contextlib.contextmanager
def page_of(predictors: Mapping[str, Predictor]) -> Iterator[PageServer]:
    """A server that stops at the end."""
    server = PageServer(predictors)
    try:
        yield server
    finally:
        server.stop()


if __name__ == "__main__":
    with page_of({Path(run).name: artefacts.open(run) for run in sys.argv[1:]}) as running:
        print(running.url, flush=True)
        sys.stdin.read()
