"""The routes of TensorFlow Serving's REST API."""

import asyncio
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from kerascnn.serving import request_body, tf_serving
from kerascnn.serving.limits import within
from kerascnn.serving.request_counts import RequestCounts
from kerascnn.serving.rollout import Rollout
from kerascnn.serving.serve_config import Serve


def add(app: FastAPI, models: Rollout, settings: Serve, figures: RequestCounts) -> None:
    """Adds the routes to the server of these models."""

    async def predict(request: Request, name: str, version: str | None = None) -> JSONResponse:
        model = models.find(name, version)
        body = await request_body.read(request, settings)
        most = min(settings.max_images, settings.queue)
        images, columns, pooled = await asyncio.to_thread(tf_serving.parse, body, most)
        if pooled and not model.channels:
            raise HTTPException(400, f"{model.name} has no signature {tf_serving.FEATURES}: its file gives no features")
        await request_body.check_pixels(images, settings)
        with within(settings):
            rows = await model.rows(images, pooled=pooled)
        answered = [row for row in rows if not isinstance(row, str)]
        figures.count(model.name, len(answered), len(rows))
        for place, row in enumerate(rows):
            if isinstance(row, str):  # the API has no room for an answer and an error in one response
                raise HTTPException(400, f"image {place}: {row}")
        return JSONResponse(await asyncio.to_thread(tf_serving.answer, answered, model.class_names, columns))

    async def status(name: str, version: str | None = None) -> dict[str, Any]:
        return {"model_version_status": models.states(name, version)}

    async def metadata(name: str, version: str | None = None) -> dict[str, Any]:
        model = models.find(name, version)
        return tf_serving.metadata(model.name, model.version, model.example, model.channels)

    for place in ("/v1/models/{name}/versions/{version}", "/v1/models/{name}"):
        app.post(f"{place}:predict")(predict)
        app.get(f"{place}/metadata")(metadata)
        app.get(place)(status)
