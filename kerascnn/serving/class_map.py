"""The class map of one image, as the page draws it over the image that the client has."""

import base64
import io
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from kerascnn.data import decode
from kerascnn.scoring import grad_cam

METHOD = "grad-cam"


def offered(network: keras.Model | None) -> bool:
    """Returns whether a network has class maps: that of a run or a `.keras` file, and with stages."""
    return network is not None and grad_cam.has_maps(network)


def class_map(network: keras.Model, content: bytes, index: int, size: int, mode: decode.Mode) -> dict[str, Any]:
    """Returns how much each position of an image supports a class, as a picture to lay over the image.

    Args:
        network: A network with class maps, in float32.
        content: Bytes of an image file that can be decoded.
        index: The class.
        size: Height and width of the network's input.
        mode: Resize mode.

    Returns:
        method; `png`, base64 of an RGBA picture [size, size] whose opacity is the support, 0 to 1; `box`, the part of the upright
        image that the network saw and the picture covers (see `decode.seen`); `empty`, whether nothing supports the class.

    Raises:
        tensorflow.errors.OpError: The image cannot be decoded.
    """
    image = decode.decode(decode.native(tf.constant(content)))
    pixels = decode.resize(image, size, mode).numpy()
    heat = grad_cam.grad_cam(network, pixels[None], [index])[0]
    height, width = image.shape[:2]
    box = dict(zip(("left", "top", "width", "height"), decode.seen(height, width, size, mode), strict=True))
    return {"method": METHOD, "png": base64.b64encode(_png(heat)).decode(), "box": box, "empty": not heat.any()}


def _png(heat: np.ndarray) -> bytes:
    """Returns heat in 0..1, [H, W], as a PNG: the colors of `grad_cam.overlay`, transparent where nothing supports the class."""
    from matplotlib import colormaps  # as in `grad_cam.overlay`

    rgba = colormaps["inferno"](heat)
    rgba[..., 3] = heat  # a steeper opacity, as its root, would veil the whole image with the dark end of the scale
    png = io.BytesIO()
    Image.fromarray(np.rint(rgba * 255).astype("uint8"), "RGBA").save(png, "PNG")
    return png.getvalue()
