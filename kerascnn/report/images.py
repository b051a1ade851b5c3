"""Pixels inside a page: thumbnails as data URIs, nothing is fetched."""

import base64
import io

import numpy as np
from markupsafe import Markup
from PIL import Image

from kerascnn.escaping import as_html

# Pixels of a thumbnail's longer side: more is wasted on a page.
SIDE = 128
# From here up a photo is smaller as JPEG.
LARGE = 64
HIT, MISS = (9, 105, 218), (207, 34, 46)


def uri(image: np.ndarray) -> str:
    """uint8 [H, W, 3] as the `src` of an image: a photo as JPEG, a small picture pixel by pixel."""
    picture = Image.fromarray(np.ascontiguousarray(image, dtype="uint8"))
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    large = max(picture.size) > LARGE
    picture.save(buffer, "JPEG", quality=82) if large else picture.save(buffer, "PNG", optimize=True)
    kind = "jpeg" if large else "png"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def matrix(share: np.ndarray, title: str, about: str) -> Markup:
    """A confusion matrix of many classes as one small picture: float [C, C], each row's shares."""
    depth = np.sqrt(share)[..., None]
    color = np.where(np.eye(len(share), dtype=bool)[..., None], np.array(HIT), np.array(MISS))
    pixels = (255 - (255 - color) * depth).astype("uint8")
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    source = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    words = as_html(title)
    return Markup(
        f'<figure class="matrix"><figcaption>{words}</figcaption>'
        f'<img class="pixels" src="{source}" alt="{words}: {as_html(about)}"></figure>'
    )
