"""Grad-CAM of single files, as pictures: one file per image and answer."""

import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from kerascnn.cli.escaping import as_file_name, within
from kerascnn.data import decode
from kerascnn.data.walking import SUFFIXES, is_output
from kerascnn.errors import UserError
from kerascnn.runs.files import make_output, write_file
from kerascnn.scoring import grad_cam

SIDE = 256  # pixels; what the network sees of a small image is enlarged to at least that


class Overlays:
    """A folder of overlays.

    A picture is called `<image>_<class>-<8 digits of the image's whole path>.png`: images of one name in two folders keep
    theirs, and the same image and answer replace their own.

    Args:
        folder: Made where it is missing.
        model: The network, computing in float32.
        image_size: Height and width that it sees.
        resize: How an image gets there.

    Raises:
        UserError: The folder cannot be one, or holds other images: pictures among them would be taken for data.
    """

    def __init__(
        self, folder: str | os.PathLike[str], model: keras.Model, image_size: int, resize: decode.Mode
    ) -> None:
        self.folder, self.model, self.image_size, self.resize = Path(folder), model, image_size, resize
        grad_cam.stages(model)
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
        """One picture per file: what the network sees of it, and which places speak for the class.

        Args:
            files: Image files that can be decoded.
            classes: What each is to be explained as, places in `class_names`.
            class_names: In the order of the network's answers.

        Returns:
            The pictures, in the files' order.

        Raises:
            tensorflow.errors.OpError: A file can no longer be decoded.
        """
        images = np.stack([self._pixels(file) for file in files])
        heat = grad_cam.grad_cam(self.model, images, np.asarray(classes))
        names = [class_names[place] for place in classes]
        return [self._draw(*row) for row in zip(files, names, images, heat, strict=True)]

    def _pixels(self, file: str) -> np.ndarray:
        return decode.preprocess(decode.read(os.fsencode(file)), self.image_size, self.resize).numpy()

    def _draw(self, file: str, name: str, image: np.ndarray, heat: np.ndarray) -> Path:
        digits = hashlib.sha256(os.fsencode(os.path.realpath(file))).hexdigest()[:8]
        picture = f"{as_file_name(Path(file).stem)}_{as_file_name(name)}-{digits}.png"
        place = within(self.folder, picture)
        png = io.BytesIO()
        times = -(-SIDE // self.image_size) if self.image_size < SIDE else 1
        drawn = grad_cam.overlay(image, heat).repeat(times, axis=0).repeat(times, axis=1)
        Image.fromarray(drawn).save(png, "PNG")
        write_file(place, png.getvalue())
        return place
