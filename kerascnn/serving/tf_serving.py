"""TensorFlow Serving's REST predict API as JSON values. https://www.tensorflow.org/tfx/serving/api_rest

Every served format has the signatures of an exported SavedModel (`kerascnn.artefacts.savedmodel`). An encoded image may have
every format that training takes.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from starlette.exceptions import HTTPException

from kerascnn.artefacts.savedmodel import TOP

DEFAULT, FEATURES = "serving_default", "features"
INPUTS = {DEFAULT: "image_bytes", "images": "images", FEATURES: "images"}  # signature -> its input
KEYS = ("signature_name", "instances", "inputs")


class Question(NamedTuple):
    """One request.

    Attributes:
        images: Encoded images, or pixels 0-255, float32 [H, W, 3] each.
        columns: Whether the answer is by output (`inputs` was sent) instead of by image (`instances`).
        pooled: Whether features are asked for, not predictions.
    """

    images: list[bytes] | list[np.ndarray]
    columns: bool
    pooled: bool = False


def parse(body: bytes, most: int) -> Question:
    """Returns the content of a request's body.

    Args:
        body: JSON, as `{"instances": [{"b64": "..."}]}` and the other forms of the API.
        most: Images that one request may have.

    Raises:
        HTTPException: It is not such JSON (400), or has more images (413).
    """
    request = _json(body)
    if not isinstance(request, dict):
        raise HTTPException(400, f"expected a JSON object, got {_kind(request)}")
    if unknown := sorted(request.keys() - set(KEYS)):
        raise HTTPException(400, f"unknown key {unknown[0][:100]!r}: expected signature_name, and instances or inputs")
    signature = request.get("signature_name", DEFAULT)
    if not isinstance(signature, str) or signature not in INPUTS:
        raise HTTPException(400, f"no signature {str(signature)[:100]!r}: the model has {', '.join(INPUTS)}")
    if ("instances" in request) == ("inputs" in request):
        raise HTTPException(400, "expected either instances or inputs")
    columns = "inputs" in request
    rows = _rows(request["inputs" if columns else "instances"], INPUTS[signature], columns)
    if not rows:
        raise HTTPException(400, "expected at least one image")
    if len(rows) > most:
        raise HTTPException(413, f"a request may have {most} images (--max-images, --queue), got {len(rows)}")
    if signature == DEFAULT:
        return Question([_encoded(row, place) for place, row in enumerate(rows)], columns)
    return Question(list(_pixels(rows)), columns, signature == FEATURES)


def answer(rows: Sequence[Mapping[str, np.ndarray]], names: Sequence[str], columns: bool) -> dict[str, Any]:
    """Returns the body of the response.

    Args:
        rows: The outputs for each image by name: `features`, or `probabilities` [classes] and others.
        names: Names of the classes.
        columns: As in `Question`.
    """
    plain = [_answer(row, names) for row in rows]
    if not columns:
        return {"predictions": plain}
    return {"outputs": plain if FEATURES in rows[0] else {name: [row[name] for row in plain] for name in plain[0]}}


def _answer(row: Mapping[str, np.ndarray], names: Sequence[str]) -> Any:
    if FEATURES in row:  # TensorFlow Serving leaves the name of a single output out, and so does this
        return row[FEATURES].tolist()
    probabilities = row["probabilities"]
    order = (-probabilities).argsort(kind="stable")[:TOP]
    top = {"classes": [names[place] for place in order], "scores": probabilities[order].tolist()}
    return {**{name: value.tolist() for name, value in row.items()}, **top}


def status(version: str, state: str = "AVAILABLE") -> dict[str, Any]:
    """Returns one entry of `model_version_status`."""
    return {"version": version, "state": state, "status": {"error_code": "OK", "error_message": ""}}


def metadata(name: str, version: str, outputs: Mapping[str, np.ndarray], channels: int = 0) -> dict[str, Any]:
    """Returns the answer of `/metadata`.

    Args:
        name: The model's.
        version: Its version.
        outputs: The outputs for one image by name.
        channels: Number of its features; 0 for a model without the signature.
    """
    classes = len(outputs["probabilities"])
    described = {key: _tensor(key, _TYPES[value.dtype.kind], value.shape) for key, value in outputs.items()}
    described["classes"] = _tensor("classes", "DT_STRING", (min(TOP, classes),))
    described["scores"] = _tensor("scores", "DT_FLOAT", (min(TOP, classes),))
    inputs: dict[str, tuple[str, tuple[int, ...]]] = {DEFAULT: ("DT_STRING", ()), "images": ("DT_FLOAT", (-1, -1, 3))}
    if channels:
        inputs[FEATURES] = inputs["images"]
    pooled = {FEATURES: _tensor(FEATURES, "DT_FLOAT", (channels,))}
    signatures = {
        signature: {
            "inputs": {INPUTS[signature]: _tensor(INPUTS[signature], *spec)},
            "outputs": pooled if signature == FEATURES else described,
            "method_name": "tensorflow/serving/predict",
        }
        for signature, spec in inputs.items()
    }
    spec = {"name": name, "signature_name": "", "version": version}
    return {"model_spec": spec, "metadata": {"signature_def": {"signature_def": signatures}}}


_TYPES = {"f": "DT_FLOAT", "b": "DT_BOOL"}


def _tensor(name: str, kind: str, sides: tuple[int, ...]) -> dict[str, Any]:
    dimensions = [{"size": str(side), "name": ""} for side in (-1, *sides)]
    return {"dtype": kind, "tensor_shape": {"dim": dimensions, "unknown_rank": False}, "name": f"{name}:0"}


def _json(body: bytes) -> Any:
    def constant(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    try:
        return json.loads(body, parse_constant=constant)
    except RecursionError:
        raise HTTPException(400, "the JSON is nested too deeply") from None
    except ValueError as error:  # syntax, no UTF-8, a number of thousands of digits
        raise HTTPException(400, f"the body is not JSON: {error}") from None


def _rows(given: Any, name: str, columns: bool) -> list[Any]:
    """Returns one entry per image, without the input's name: a model with one input may be sent either."""
    if columns and isinstance(given, dict) and given.keys() == {name}:
        given = given[name]
    if columns and isinstance(given, dict) and given.keys() == {"b64"}:
        given = [given]
    if not isinstance(given, list):
        raise HTTPException(400, f"expected a list of images, got {_kind(given)}")
    rows = []
    for place, row in enumerate(given):
        if isinstance(row, dict) and row.keys() != {"b64"}:
            if row.keys() != {name}:
                keys = [key[:100] for key in sorted(row)[:5]]
                raise HTTPException(400, f"image {place}: expected the key {name} or b64, got {keys}")
            row = row[name]
        rows.append(row)
    return rows


def _encoded(row: Any, place: int) -> bytes:
    if not (isinstance(row, dict) and row.keys() == {"b64"} and isinstance(row["b64"], str)):
        raise HTTPException(400, f'image {place}: expected {{"b64": "..."}}, got {_kind(row)}')
    try:
        return base64.b64decode(row["b64"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise HTTPException(400, f"image {place}: not base64 (RFC 4648, without line breaks): {error}") from None


def _pixels(rows: list[Any]) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):  # is infinite then, and refused below
            images = np.array(rows, dtype="float32")
    except (ValueError, TypeError, OverflowError):
        raise HTTPException(400, "expected numbers, and images of one size in a request") from None
    if images.ndim != 4 or images.shape[-1] != 3 or 0 in images.shape:
        raise HTTPException(400, f"expected images [height, width, 3], got an array of shape {list(images.shape)}")
    if not np.isfinite(images).all():
        raise HTTPException(400, "a pixel is too large a number")
    return images


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
