"""Generated photos that differ as photos do, for tests of copies."""

import io

import numpy as np
from PIL import Image


def photo(seed: int, size: tuple[int, int] = (96, 72)) -> Image.Image:
    """Soft spots of random color on a gradient: no two seeds look alike."""
    rng = np.random.default_rng(seed)
    width, height = size
    y, x = np.mgrid[0:height, 0:width] / max(size)
    pixels = np.zeros((height, width, 3))
    for _ in range(10):
        cx, cy, radius = rng.uniform(0, 1), rng.uniform(0, height / max(size)), rng.uniform(0.05, 0.25)
        spot = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * radius**2))
        pixels += spot[..., None] * rng.uniform(-1, 1, 3)
    pixels += 0.1 * rng.standard_normal((height, width, 1))
    low, high = pixels.min(), pixels.max()
    return Image.fromarray(((pixels - low) / (high - low) * 255).astype(np.uint8))


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    """An image as the bytes of a JPEG."""
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=quality)
    return file.getvalue()
