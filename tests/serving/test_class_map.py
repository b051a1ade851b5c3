"""The class map of one image: a picture whose opacity is the support, and the part of the image that it covers."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from kerascnn import models
from kerascnn.data import decode
from kerascnn.scoring import grad_cam
from kerascnn.serving import class_map


def jpeg(pixels: np.ndarray, orientation: int = 1) -> bytes:
    content, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(content, "JPEG", exif=exif, quality=95)
    return content.getvalue()


def test_a_map_lies_over_the_upright_image() -> None:
    network = models.build("resnet20", (32, 32, 3), 4, width=0.25, blocks=(1, 1, 1))
    content = jpeg(np.random.default_rng(0).integers(0, 256, (60, 40, 3), "uint8"), orientation=6)
    found = class_map.class_map(network, content, 2, 32, "crop")
    with Image.open(io.BytesIO(base64.b64decode(found["png"]))) as png:
        assert (png.mode, png.size) == ("RGBA", (32, 32))
        opacity = np.asarray(png)[..., 3] / 255
    pixels = decode.preprocess(decode.native(content), 32, "crop").numpy()[None]
    heat = grad_cam.grad_cam(network, pixels, [2])[0]
    np.testing.assert_allclose(opacity, heat, atol=0.01)
    assert found["empty"] == (not heat.any())
    # Stored 40 px wide and 60 px high, the image is 60 px wide and 40 px high when it is upright: the sides are cut off.
    assert found["box"]["width"] < found["box"]["height"] <= 1
    assert tuple(found["box"].values()) == pytest.approx(decode.seen(40, 60, 32, "crop"))


def test_maps_are_offered_of_networks_with_stages() -> None:
    assert class_map.offered(models.build("resnet20", (32, 32, 3), 4, width=0.25, blocks=(1, 1, 1)))
    assert not class_map.offered(None)
