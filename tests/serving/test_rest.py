"""What a request's images cost is known before any is decoded."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from examples.serving.rest import BadRequest, Input, parse, pixels

INPUTS = {"serving_default": Input("image_bytes", True)}


def encoded(kind: str, height: int, width: int, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.zeros((height, width, 3), "uint8")).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"exif": Image.Exif(), "icc_profile": bytes(70_000), "comment": b"\xff\xc0" * 9}),
    ],
)
def test_pixels_are_told_by_the_header(kind, options):
    image = encoded(kind, 7, 300, **options)
    assert pixels(image) == 2100
    assert pixels(image[:20]) == 0


def test_a_request_of_too_many_pixels_is_refused_before_anything_is_decoded():
    images = [encoded("PNG", 30, 40), encoded("JPEG", 30, 40)]
    body = json.dumps({"instances": [{"b64": base64.b64encode(image).decode()} for image in images]}).encode()
    assert parse(body, INPUTS, 2, 2400).images == images
    with pytest.raises(BadRequest, match="at most 2,399 pixels in a request, got 2,400"):
        parse(body, INPUTS, 2, 2399)
