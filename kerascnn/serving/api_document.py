"""The OpenAPI description of the server. It is written here, not derived: the routes read images, which no type says."""

from typing import Any

import kerascnn

Schema = dict[str, Any]


def document() -> Schema:
    """Returns the description, OpenAPI 3.1."""
    about = (
        "Image classifiers of kerascnn over HTTP. Where the server has a token, requests bring Authorization: Bearer."
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": "kerascnn serve", "version": kerascnn.__version__, "description": about},
        "paths": _paths(),
        "components": {"schemas": _SCHEMAS, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _object(required: dict[str, Schema], **optional: Schema) -> Schema:
    return {"type": "object", "properties": {**required, **optional}, "required": list(required)}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _said(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


_TEXT, _NUMBER, _FLAG, _COUNT = ({"type": kind} for kind in ("string", "number", "boolean", "integer"))
_MAYBE_TEXT = {"type": ["string", "null"]}
_BASE64 = _object({"b64": _said(_TEXT, "base64 of an image file, without line breaks")})
_PIXELS = _said(_list(_list(_list(_NUMBER))), "pixels [height, width, 3], RGB, 0 to 255")
_ROWS = _list({"anyOf": [_BASE64, _PIXELS, {"type": "object"}]})
_PLACE = dict.fromkeys(("left", "top", "width", "height"), _NUMBER)
_OVERLAY = _object(
    {"method": _TEXT, "png": _said(_TEXT, "base64 of a transparent picture"), "box": _object(_PLACE), "empty": _FLAG}
)
_SCHEMAS = {
    "Error": _object({"error": _said(_TEXT, "what was expected and what came")}),
    "Class": _object({"class": _TEXT, "probability": {**_NUMBER, "minimum": 0, "maximum": 1}}),
    "Result": _object(
        {
            "file": _said(_TEXT, "the name that the form gave, or empty"),
            "top": _said(_list(_ref("Class")), "the most probable classes first"),
            "error": _said(_MAYBE_TEXT, "why the image cannot be used"),
            "in_set": _said({"type": ["array", "null"], "items": _TEXT}, "prediction set, where the model has them"),
            "known": _said({"type": ["boolean", "null"]}, "false where the image resembles no training image"),
            "known_score": _said({"type": ["number", "null"]}, "how much the image resembles training images"),
            "overlay": {"anyOf": [_OVERLAY, {"type": "null"}], "description": "class map, where it was asked for"},
            "neighbors": _said({"type": ["array", "null"]}, "none yet"),
        }
    ),
    "Results": _object({"model": _TEXT, "version": _TEXT, "results": _list(_ref("Result"))}, error=_TEXT),
    "Model": _object(
        {
            "name": _TEXT,
            "version": _TEXT,
            "format": _TEXT,
            "classes": _said(_list(_TEXT), "in the order of the probabilities"),
            "input": _object({"image_size": _COUNT, "resize": _TEXT, "formats": _TEXT}),
            "several_labels": _FLAG,
            "coverage": _said(
                {"type": ["number", "null"]}, "asked of prediction sets: the share of images whose set is right"
            ),
            "offers": _object(dict.fromkeys(("cam", "neighbors", "sets", "known"), _FLAG)),
        }
    ),
    "Models": _object({"models": _list(_ref("Model"))}),
    "Question": _object(
        {},
        signature_name={"enum": ["serving_default", "images", "features"], "default": "serving_default"},
        instances=_said(_ROWS, "images by row: the answer has predictions"),
        inputs=_said({"anyOf": [_ROWS, {"type": "object"}]}, "images as a column: the answer has outputs"),
    ),
    "Prediction": _object(
        {"probabilities": _list(_NUMBER), "classes": _list(_TEXT), "scores": _list(_NUMBER)},
        labels=_said(_list(_FLAG), "with several labels per image"),
        in_set=_said(_list(_FLAG), "the classes in the prediction set, where the model has them"),
        known=_said(_FLAG, "false where the image resembles no training image, where the model says so"),
        known_score=_said(_NUMBER, "with known: how much the image resembles training images"),
    ),
    "Predictions": {
        "anyOf": [
            _object({"predictions": _list(_ref("Prediction"))}),
            _object({"predictions": _said(_list(_list(_NUMBER)), "of the signature features: its channels")}),
            _object(
                {"outputs": _said({"type": ["object", "array"]}, "each output with a row per image; features alone")}
            ),
        ]
    },
    "Status": _object(
        {
            "model_version_status": _list(
                _object(
                    {
                        "version": _TEXT,
                        "state": {"enum": ["START", "LOADING", "AVAILABLE", "UNLOADING", "END"]},
                        "status": _object({"error_code": _TEXT, "error_message": _TEXT}),
                    }
                )
            )
        }
    ),
    "Metadata": _object(
        {
            "model_spec": _object({"name": _TEXT, "signature_name": _TEXT, "version": _TEXT}),
            "metadata": _object({"signature_def": {"type": "object"}}),
        }
    ),
}
_REFUSED = {
    400: "a broken image, no image, or a wrong parameter",
    401: "no token, or another one",
    404: "no such model or version",
    408: "the request did not arrive in time",
    413: "too many bytes, images or pixels",
    415: "another type of body",
    429: "the queue is full: come again after Retry-After",
    504: "no answer in time",
}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _operation(summary: str, answer: Schema, refused: tuple[int, ...], **further: Any) -> Schema:
    """Returns one operation: `answer` by media type; it needs the token, which a server may have."""
    responses: Schema = {"200": {"description": "the answer", "content": answer}}
    for status in refused:
        responses[str(status)] = {"description": _REFUSED[status], "content": _json(_ref("Error"))}
    return {"summary": summary, "responses": responses, "security": [{}, {"token": []}], **further}


def _parameter(name: str, where: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": where, "required": where == "path", "schema": schema, "description": description}


def _paths() -> Schema:
    files = _object({"image": _list({"type": "string", "format": "binary"})})
    body = {"multipart/form-data": {"schema": files}}
    body |= {
        kind: {"schema": {"type": "string", "format": "binary"}} for kind in ("application/octet-stream", "image/*")
    }
    asked = [
        _parameter("model", "query", _TEXT, "name of a model; default: the first one"),
        _parameter("top", "query", {**_COUNT, "minimum": 1, "default": 5}, "number of classes"),
        _parameter("cam", "query", {"enum": ["grad-cam"]}, "adds a class map, for models that offer one"),
    ]
    text = {"text/plain": {"schema": _TEXT}}
    every = (400, 401, 404, 408, 413, 415, 429, 504)
    paths: Schema = {
        "/predict": {
            "post": _operation(
                "The most probable classes of one or more image files.",
                _json(_ref("Results")),
                every,
                parameters=asked,
                requestBody={"required": True, "content": body},
            )
        },
        "/api/models": {"get": _operation("The models and what they offer.", _json(_ref("Models")), (401,))},
        "/metrics": {"get": _operation("Counters and times for Prometheus.", text, (401,))},
    }
    for place in ("/healthz", "/readyz"):
        paths[place] = {"get": _operation("Answers as soon as every model does.", text, (), security=[])}
    for place, names in (("", ("name",)), ("/versions/{version}", ("name", "version"))):
        paths |= _of_tensorflow_serving("/v1/models/{name}" + place, names)
    return paths


def _of_tensorflow_serving(place: str, names: tuple[str, ...]) -> Schema:
    given = {"parameters": [_parameter(name, "path", _TEXT, f"{name} of the model") for name in names]}
    body = {"required": True, "content": _json(_ref("Question"))}
    ask = _operation(
        "TensorFlow Serving's predict API.",
        _json(_ref("Predictions")),
        (400, 401, 404, 408, 413, 429, 504),
        requestBody=body,
    )
    return {
        place: {**given, "get": _operation("The versions and their states.", _json(_ref("Status")), (401, 404))},
        f"{place}/metadata": {
            **given,
            "get": _operation("Signatures, types, shapes.", _json(_ref("Metadata")), (401, 404)),
        },
        f"{place}:predict": {**given, "post": ask},
    }
