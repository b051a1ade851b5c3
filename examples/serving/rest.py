"""TensorFlow Serving's REST predict API: its JSON <-> arrays. https://www.tensorflow.org/tfx/serving/api_rest

For signatures with one input: encoded images (`serving_default` of kerascnn's SavedModels) or pixels (`images`, `features`).
What a client can get wrong is a `BadRequest` here, before the model is asked; but for damage within an image's data.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

MAGIC = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG"}
DEFAULT = "serving_default"


class BadRequest(Exception):
    """What the client sent cannot be answered: the message says what was expected and what came."""

    status = 400


class Input(NamedTuple):
    """What one signature takes.

    Attributes:
        name: The input's.
        encoded: JPEG or PNG bytes; otherwise pixels 0-255.
    """

    name: str
    encoded: bool


class Question(NamedTuple):
    """One request.

    Attributes:
        signature: Which of the model's signatures is asked.
        images: Encoded images, or one array float32 [n, H, W, 3].
        columns: Whether the answer is to be by output (`inputs` was sent) and not by image (`instances`).
    """

    signature: str
    images: list[bytes] | np.ndarray
    columns: bool


def parse(body: bytes, inputs: Mapping[str, Input], most: int, most_pixels: int) -> Question:
    """A request's body, checked.

    Args:
        body: JSON; `{"instances": [{"b64": "..."}]}` and the other forms of the API.
        inputs: The model's, by signature.
        most: Images that one request may have.
        most_pixels: Pixels that all images of one request may have, as their headers tell.

    Raises:
        BadRequest: It is no such JSON, or no images, or they are too large.
    """
    request = _json(body)
    if not isinstance(request, dict):
        raise BadRequest(f"expected a JSON object, got {_kind(request)}")
    unknown = request.keys() - {"signature_name", "instances", "inputs"}
    if unknown:
        raise BadRequest(f"unknown key {sorted(unknown)[0]!r}: expected signature_name, and instances or inputs")
    signature = request.get("signature_name", DEFAULT)
    if not isinstance(signature, str) or signature not in inputs:
        raise BadRequest(f"no signature {signature!r}: the model has {', '.join(inputs)}")
    if ("instances" in request) == ("inputs" in request):
        raise BadRequest("expected either instances or inputs")
    columns = "inputs" in request
    name, encoded = inputs[signature]
    rows = _rows(request["inputs" if columns else "instances"], name, columns)
    if not 1 <= len(rows) <= most:
        raise BadRequest(f"expected 1 to {most} images, got {len(rows)}")
    images = [_encoded(row, place) for place, row in enumerate(rows)] if encoded else _pixels(rows)
    total = sum(map(pixels, images)) if isinstance(images, list) else 0
    if total > most_pixels:
        raise BadRequest(
            f"expected at most {most_pixels:,} pixels in a request, got {total:,}: send fewer or smaller images"
        )
    return Question(signature, images, columns)


def render(question: Question, outputs: dict[str, np.ndarray]) -> dict[str, Any]:
    """The response's body: predictions by image, or outputs by name."""
    plain = {name: _texts(values) if values.dtype == object else values.tolist() for name, values in outputs.items()}
    if len(plain) == 1:  # the API leaves the name of a single output out
        return {"outputs" if question.columns else "predictions": next(iter(plain.values()))}
    if question.columns:
        return {"outputs": plain}
    return {"predictions": [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)]}


def pixels(image: bytes) -> int:
    """The pixels that a JPEG's or PNG's header announces; 0 where it announces none, which the decoder then refuses."""
    if image.startswith(b"\x89PNG"):
        return int.from_bytes(image[16:20], "big") * int.from_bytes(image[20:24], "big")
    place = 2
    while place + 9 <= len(image) and image[place] == 0xFF:
        marker, length = image[place + 1], int.from_bytes(image[place + 2 : place + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a frame header (ITU-T T.81, table B.1)
            return int.from_bytes(image[place + 5 : place + 7], "big") * int.from_bytes(
                image[place + 7 : place + 9], "big"
            )
        place += 1 if marker == 0xFF else 2 if 0xD0 <= marker <= 0xD8 else 2 + length
    return 0


def _json(body: bytes) -> Any:
    def constant(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    try:
        return json.loads(body, parse_constant=constant)
    except RecursionError:
        raise BadRequest("the JSON is nested too deeply") from None
    except ValueError as error:  # syntax, no UTF-8, a number of thousands of digits
        raise BadRequest(f"the body is not JSON: {error}") from None


def _rows(given: Any, name: str, columns: bool) -> list[Any]:
    """One entry per image, without the input's name: a model with one input may be sent either."""
    if columns and isinstance(given, dict) and given.keys() == {name}:
        given = given[name]
    if columns and isinstance(given, dict) and given.keys() == {"b64"}:
        given = [given]
    if not isinstance(given, list):
        raise BadRequest(f"expected a list of images, got {_kind(given)}")
    rows = []
    for place, row in enumerate(given):
        if isinstance(row, dict) and row.keys() != {"b64"}:
            if row.keys() != {name}:
                raise BadRequest(f"image {place}: expected the key {name} or b64, got {sorted(row)[:5]}")
            row = row[name]
        rows.append(row)
    return rows


def _encoded(row: Any, place: int) -> bytes:
    if not (isinstance(row, dict) and row.keys() == {"b64"} and isinstance(row["b64"], str)):
        raise BadRequest(f'image {place}: expected {{"b64": "..."}}, got {_kind(row)}')
    try:
        content = base64.b64decode(row["b64"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequest(f"image {place}: not base64 (RFC 4648, without line breaks): {error}") from None
    if not content.startswith(tuple(MAGIC)):
        raise BadRequest(f"image {place}: expected the bytes of a JPEG or PNG image, they start with {content[:8]!r}")
    return content


def _pixels(rows: list[Any]) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):  # is infinite then, and refused below
            images = np.array(rows, dtype="float32")
    except (ValueError, TypeError, OverflowError):
        raise BadRequest("expected numbers, and images of one size in a request") from None
    if images.ndim != 4 or images.shape[-1] != 3 or 0 in images.shape:
        raise BadRequest(f"expected images [height, width, 3], got an array of shape {list(images.shape)}")
    if not np.isfinite(images).all():
        raise BadRequest("a pixel is too large a number")
    return images


def _texts(values: np.ndarray) -> Any:
    return [_texts(value) if isinstance(value, np.ndarray) else value.decode(errors="replace") for value in values]


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
