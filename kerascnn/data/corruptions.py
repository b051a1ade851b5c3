"""Corruptions of images in five severities, after Hendrycks and Dietterich (2019, section 3), with seeded noise.

Each function maps uint8 [H, W, 3], a severity from 1 to 5 and a generator to uint8 [H, W, 3]. Strengths are shares of the
image's side or range, so that they mean the same at 32 and at 224 px. They are not those of the benchmark.
"""

import io
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image
from scipy import ndimage

SEVERITIES = (1, 2, 3, 4, 5)


def _noise(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    return _bytes(image + rng.normal(0, 255 * (0.04, 0.08, 0.12, 0.18, 0.26)[severity - 1], image.shape))


def _blur(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    side = (0.010, 0.015, 0.022, 0.032, 0.045)[severity - 1] * min(image.shape[:2])
    return _bytes(ndimage.gaussian_filter(image.astype("float32"), (side, side, 0)))


def _contrast(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    mean = image.mean(axis=(0, 1))
    return _bytes(mean + (image - mean) * (0.75, 0.5, 0.4, 0.3, 0.15)[severity - 1])


def _brightness(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    return _bytes(image.astype("float32") + 255 * (0.1, 0.2, 0.3, 0.4, 0.5)[severity - 1])


def _jpeg(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=(50, 25, 15, 10, 7)[severity - 1])
    return np.asarray(Image.open(buffer).convert("RGB"))


def _pixelate(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    return smaller(image, (0.6, 0.5, 0.4, 0.3, 0.25)[severity - 1], Image.Resampling.BOX, Image.Resampling.NEAREST)


CORRUPTIONS: dict[str, Callable[[np.ndarray, int, np.random.Generator], np.ndarray]] = {
    "noise": _noise,
    "blur": _blur,
    "contrast": _contrast,
    "brightness": _brightness,
    "jpeg": _jpeg,
    "pixelate": _pixelate,
}


def corrupt(
    images: np.ndarray, name: str, severity: int, indices: Sequence[int] | np.ndarray, seed: int = 0
) -> np.ndarray:
    """Corrupts uint8 [n, H, W, 3]; the noise of image i does not depend on the batches.

    Args:
        images: uint8 [n, H, W, 3].
        name: A key of CORRUPTIONS.
        severity: 1 to 5.
        indices: Index of each image in its split, [n].
        seed: Seed of the noise.
    """
    change, kind = CORRUPTIONS[name], list(CORRUPTIONS).index(name)
    return np.stack(
        [
            change(image, severity, np.random.default_rng([seed, kind, severity, place]))
            for image, place in zip(images, indices, strict=True)
        ]
    )


def smaller(
    image: np.ndarray,
    share: float,
    down: Image.Resampling = Image.Resampling.BILINEAR,
    up: Image.Resampling = Image.Resampling.BILINEAR,
) -> np.ndarray:
    """Scales an image down to `share` of its side, antialiased, and up again, as if from a smaller camera."""
    height, width = image.shape[:2]
    small = Image.fromarray(image).resize((max(1, round(share * width)), max(1, round(share * height))), down)
    return np.asarray(small.resize((width, height), up))


def _bytes(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image), 0, 255).astype("uint8")
