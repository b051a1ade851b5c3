"""Images inside a page: thumbnails as data URIs."""

import base64
import io

import numpy as np
from PIL import Image

# Longer side of a thumbnail in pixels.
SIDE = 128
# From this size on a photo is smaller as JPEG.
LARGE = 64


def uri(image: np.ndarray) -> str:
    """Returns uint8 [H, W, 3] as the `src` of an image: a photo as JPEG, a small image as PNG."""
    picture = Image.fromarray(np.ascontiguousarray(image, dtype="uint8"))
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    large = max(picture.size) > LARGE
    picture.save(buffer, "JPEG", quality=82) if large else picture.save(buffer, "PNG", optimize=True)
    kind = "jpeg" if large else "png"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
