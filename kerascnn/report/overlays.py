"""Overlays of class maps of single files: one picture per image and predicted class."""

import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from PIL import Image

from kerascnn.cli.escaping import as_file_name, within
from kerascnn.data import decode
from kerascnn.data.formats import SUFFIXES
from kerascnn.data.walking import is_output
from kerascnn.errors import UserError
from kerascnn.runs.files import make_output, write_file
from kerascnn.scoring import class_maps, grad_cam

SIDE = 256  # smallest side in pixels, to which small images are enlarged


class Drawn(NamedTuple):
    """The maps that are drawn.

    Attributes:
        method: A key of `class_maps.METHODS`.
        smooth: Noisy copies, as in `class_maps.class_maps`.
    """

    method: str
    smooth: int


class Overlays:
    """A folder of overlays.

    A picture has the name `<image>_<class>-<8 digits of the hash of the image's path>.png`, with the method before `.png`
    where it is not Grad-CAM: images with the same name in two folders have different pictures, and the same image, class and
    method replace their own.

    Args:
        folder: Folder that is created if it is missing.
        model: The network, which computes in float32.
        image_size: Height and width of its input.
        resize: Resize mode.
        drawn: Which maps.

    Raises:
        UserError: The folder cannot be created, or contains other images, among which overlays would be taken for data.
    """

    def __init__(
        self, folder: str | os.PathLike[str], model: keras.Model, image_size: int, resize: decode.Mode, drawn: Drawn
    ) -> None:
        self.folder, self.model, self.image_size, self.resize = Path(folder), model, image_size, resize
        self.drawn = drawn
        class_maps.check(model, drawn.method)
        try:
            make_output(self.folder)
            strangers = sorted(path.name for path in self.folder.iterdir() if path.suffix.lower() in SUFFIXES)
        except OSError as error:
            raise UserError(f"{self.folder} cannot hold pictures: {error.strerror}") from error
        if strangers and not is_output(self.folder):
            raise UserError(
                f"{self.folder} holds other images, as {strangers[0]!r}: give a folder of its own for overlays"
            )

    def write(self, files: Sequence[str], classes: Sequence[int], class_names: Sequence[str]) -> list[Path]:
        """Writes one picture per file: the network's input, and the positions that support the class.

        Args:
            files: Image files that can be decoded.
            classes: Index of the class to explain, for each file.
            class_names: Names of the classes, in the order of the network's outputs.

        Returns:
            The pictures, in the files' order.

        Raises:
            tensorflow.errors.OpError: A file can no longer be decoded.
        """
        images = np.stack([self._pixels(file) for file in files])
        heat = class_maps.class_maps(
            self.model, images, np.asarray(classes), self.drawn.method, smooth=self.drawn.smooth
        )
        names = [class_names[place] for place in classes]
        return [self._draw(*row) for row in zip(files, names, images, heat, strict=True)]

    def _pixels(self, file: str) -> np.ndarray:
        return decode.preprocess(decode.read(os.fsencode(file)), self.image_size, self.resize).numpy()

    def _draw(self, file: str, name: str, image: np.ndarray, heat: np.ndarray) -> Path:
        digits = hashlib.sha256(os.fsencode(os.path.realpath(file))).hexdigest()[:8]
        suffix = "" if self.drawn == Drawn("grad-cam", 0) else "_" + "_".join(str(one) for one in self.drawn if one)
        picture = f"{as_file_name(Path(file).stem)}_{as_file_name(name)}-{digits}{suffix}.png"
        place = within(self.folder, picture)
        png = io.BytesIO()
        times = -(-SIDE // self.image_size) if self.image_size < SIDE else 1
        drawn = grad_cam.overlay(image, heat).repeat(times, axis=0).repeat(times, axis=1)
        Image.fromarray(drawn).save(png, "PNG")
        write_file(place, png.getvalue())
        return place
