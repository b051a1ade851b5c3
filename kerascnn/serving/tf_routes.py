"""The routes of TensorFlow Serving's REST API."""

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from kerascnn.serving import request_body, tf_serving
from kerascnn.serving.limits import within
from kerascnn.serving.request_counts import RequestCounts
from kerascnn.serving.serve_config import Serve
from kerascnn.serving.served_model import ServedModel


def add(app: FastAPI, models: Mapping[str, ServedModel], settings: Serve, figures: RequestCounts) -> None:
    """Adds the routes to the server of these models."""

    async def predict(request: Request, name: str, version: str | None = None) -> JSONResponse:
        model = _named(models, name, version)
        body = await request_body.read(request, settings)
        most = min(settings.max_images, settings.queue)
        images, columns = await asyncio.to_thread(tf_serving.parse, body, most)
        await request_body.check_pixels(images, settings)
        with within(settings):
            rows = await model.rows(images)
        answered = [row for row in rows if not isinstance(row, str)]
        figures.count(model.name, len(answered), len(rows))
        for place, row in enumerate(rows):
            if isinstance(row, str):  # the API has no room for an answer and an error in one response
                raise HTTPException(400, f"image {place}: {row}")
        return JSONResponse(await asyncio.to_thread(tf_serving.answer, answered, model.class_names, columns))

    async def status(name: str, version: str | None = None) -> dict[str, Any]:
        return {"model_version_status": [tf_serving.status(_named(models, name, version).version)]}

    async def metadata(name: str, version: str | None = None) -> dict[str, Any]:
        model = _named(models, name, version)
        return tf_serving.metadata(model.name, model.version, model.example)

    for place in ("/v1/models/{name}/versions/{version}", "/v1/models/{name}"):
        app.post(f"{place}:predict")(predict)
        app.get(f"{place}/metadata")(metadata)
        app.get(place)(status)


def _named(models: Mapping[str, ServedModel], name: str, version: str | None) -> ServedModel:
    model = models.get(name)
    if model is None:
        raise HTTPException(404, f"no model {name[:100]!r}: this server has {', '.join(models)}")
    if version not in (None, model.version):
        raise HTTPException(404, f"no version {version[:100]!r} of {name}: this server has {model.version}")
    return model
