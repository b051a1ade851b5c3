"""The routes of the server, their limits, and what every answer carries."""

import asyncio
import contextlib
import hmac
import json
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from kerascnn.cli.escaping import one_line
from kerascnn.serving import api_routes, class_map, request_body, tf_routes
from kerascnn.serving.limits import within
from kerascnn.serving.request_counts import RequestCounts
from kerascnn.serving.rollout import Rollout
from kerascnn.serving.serve_config import Serve
from kerascnn.serving.served_model import ServedModel

PAGE = Path(__file__).parent / "page"
# Routes that need no token: a supervisor has none, no browser sends one for a page, and the page asks for it.
OPEN = ("/", "/healthz", "/readyz", api_routes.DOCS, api_routes.STYLE, api_routes.DOCUMENT)
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # the page's files belong together: those of two versions must not meet in a browser
}


def create_app(loaded: Mapping[str, ServedModel], settings: Serve, token: str | None) -> FastAPI:
    """Returns the server of loaded models; the first one answers where a request names none."""
    figures, models = RequestCounts(), Rollout(loaded, settings)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(models.watch())
        yield
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)

    async def predict(request: Request) -> Response:
        model, top, cam = _asked(request, models)
        body = await request_body.read(request, settings)
        kind = request.headers.get("content-type", "")
        found = await request_body.files(kind, body, settings)
        with within(settings):
            results = await model.results(found, top, cam)
        broken = sum(result["error"] is not None for result in results)
        figures.count(model.name, len(results) - broken, len(results))
        answer: dict[str, Any] = {"model": model.name, "version": model.version, "results": results}
        if broken and len(results) == 1:
            return JSONResponse({"error": results[0]["error"], **answer}, 400)
        return JSONResponse(answer)

    async def listed() -> Response:
        return JSONResponse({"models": [model.described() for model in models.values()]})

    async def page() -> Response:
        return FileResponse(PAGE / "index.html")

    async def healthy() -> Response:
        return PlainTextResponse("ok\n")

    async def metrics() -> Response:
        return Response(await asyncio.to_thread(figures.shown), media_type=CONTENT_TYPE_LATEST)

    api_routes.add(app)
    tf_routes.add(app, models, settings, figures)
    app.get("/")(page)
    app.mount("/page", StaticFiles(directory=PAGE))
    app.post("/predict")(predict)
    app.get("/api/models")(listed)
    app.get("/healthz")(healthy)
    app.get("/readyz")(healthy)  # it listens only once every model has answered
    app.get("/metrics")(metrics)
    app.exception_handler(HTTPException)(_refused)
    app.middleware("http")(_Around(figures, token))
    if settings.allow_origin:  # outermost: a browser asks for leave without a token
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allow_origin,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization"],
            expose_headers=["Retry-After"],
        )
    return app


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


class _Around:
    """What surrounds every request: the token, the headers, the figures, and a line of JSON on standard error."""

    def __init__(self, figures: RequestCounts, token: str | None) -> None:
        self.figures, self.token = figures, token

    async def __call__(self, request: Request, call_next: Any) -> Response:
        start, path = time.perf_counter(), request.url.path
        if self._refuses(request, path):
            response: Response = JSONResponse({"error": "expected Authorization: Bearer TOKEN"}, 401)
            response.headers["WWW-Authenticate"] = "Bearer"
        else:
            response = await self._answer(request, call_next)
        response.headers.update(HEADERS)
        seconds = time.perf_counter() - start
        known = getattr(request.scope.get("route"), "path", "other")  # the route's pattern: paths have no bound
        self.figures.requests.labels(known, str(response.status_code)).inc()
        self.figures.seconds.labels(known).observe(seconds)
        line = {"time": round(time.time(), 3), "method": request.method, "path": path[:200]}
        print(json.dumps({**line, "status": response.status_code, "ms": round(1000 * seconds, 1)}), file=sys.stderr)
        return response

    async def _answer(self, request: Request, call_next: Any) -> Response:
        """Returns the answer, or a 500 with the error's kind where a network fails: its text goes to the log alone."""
        try:
            return await call_next(request)
        except Exception as error:  # runtimes raise different classes
            print(f"kerascnn serve: {type(error).__name__}: {one_line(str(error))}", file=sys.stderr)
            return JSONResponse({"error": f"the model failed ({type(error).__name__})"}, 500)

    def _refuses(self, request: Request, path: str) -> bool:
        if self.token is None or path in OPEN or path.startswith("/page/"):
            return False
        given = request.headers.get("authorization", "")
        return not hmac.compare_digest(given.encode("utf-8", "replace"), f"Bearer {self.token}".encode())


def _asked(request: Request, models: Rollout) -> tuple[ServedModel, int, bool]:
    """Returns the model, the number of classes and whether an overlay is wanted."""
    query = request.query_params
    name = query.get("model") or next(iter(models))
    model = models.find(name)
    top = query.get("top", "5")
    if not (top.isascii() and top.isdigit() and 0 < len(top) < 6 and int(top)):
        raise HTTPException(400, f"top: expected a number from 1 on, got {top[:20]!r}")
    cam = query.get("cam")
    if cam is not None and (cam != class_map.METHOD or not model.cam):
        raise HTTPException(400, f"cam: this model offers {class_map.METHOD if model.cam else 'none'}")
    if "neighbors" in query:
        raise HTTPException(400, "neighbors: this model offers none")
    return model, int(top), cam is not None
