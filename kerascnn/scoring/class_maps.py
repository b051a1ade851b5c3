"""Class maps by any method: which regions of an image support a class."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import numpy as np

from kerascnn.errors import UserError
from kerascnn.scoring import grad_cam, pixel_maps

NOISE = 0.15 * 255  # standard deviation for smooth maps, in levels: within the 10 to 20 % of SmoothGrad's figure 3


class MapMethod(NamedTuple):
    """A method.

    Attributes:
        title: Its name in reports.
        maps: The function: network, images, classes -> maps.
        by_stage: Whether it looks at the output of a stage, which is its last argument.
    """

    title: str
    maps: Callable[..., np.ndarray]
    by_stage: bool


METHODS = {
    "grad-cam": MapMethod("Grad-CAM", grad_cam.grad_cam, True),
    "grad-cam++": MapMethod("Grad-CAM++", grad_cam.grad_cam_plus_plus, True),
    "layer-cam": MapMethod("Layer-CAM", grad_cam.layer_cam, True),
    "hires-cam": MapMethod("HiRes-CAM", grad_cam.hires_cam, True),
    "integrated-gradients": MapMethod("integrated gradients", pixel_maps.integrated_gradients, False),
    "occlusion": MapMethod("occlusion", pixel_maps.occlusion, False),
}


def offered(model: keras.Model) -> list[str]:
    """Returns the names of the methods that can explain a network: without stages, those that need none."""
    staged = grad_cam.has_maps(model)
    return [name for name, method in METHODS.items() if staged or not method.by_stage]


def check(model: keras.Model, method: str) -> None:
    """Raises UserError where a method cannot explain a network."""
    if method not in offered(model):
        others = ", ".join(offered(model))
        raise UserError(
            f"{model.name} has no map, and no layers stage1, stage2, ...: {METHODS[method].title} has nothing to show;"
            f" {others} need none"
        )


def class_maps(
    model: keras.Model,
    images: np.ndarray,
    classes: Sequence[int] | np.ndarray | None = None,
    method: str = "grad-cam",
    *,
    smooth: int = 0,
) -> np.ndarray:
    """Returns how much each position of an image supports a class, by any method; by the last stage where it looks at one.

    Args:
        model: A network of `models.build` that computes in float32; it is not changed.
        images: Raw pixels 0-255, [n, H, W, 3], of the model's size.
        classes: One per image; None for the predicted classes.
        method: A key of METHODS.
        smooth: Noisy copies of each image, over whose maps the mean is taken (SmoothGrad: Smilkov et al., 2017); 0 for the
            map of the image itself.

    Returns:
        float32 [n, H, W] in 0..1, with a maximum of 1 for each image; all 0 if nothing supports the class.

    Raises:
        UserError: The method needs a stage, and the network has none.
    """
    check(model, method)
    maps = METHODS[method].maps
    if not smooth or not len(images):
        return maps(model, images, classes)
    if classes is None:  # the noise must not change the question
        classes = pixel_maps.predicted(model, images)
    rng, total = np.random.default_rng(0), np.zeros(images.shape[:3], "float32")
    for _ in range(smooth):  # each copy has one noise for all images: a map does not depend on the others of its batch
        noise = rng.normal(0, NOISE, images.shape[1:]).astype("float32")
        total += maps(model, np.clip(np.asarray(images, "float32") + noise, 0, 255), classes)
    return grad_cam.scaled(total)
