"""The features of the images of a command line, with messages about those that cannot be used."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from kerascnn.artefacts import Predictor, features
from kerascnn.cli.escaping import one_line
from kerascnn.cli.screen import Screen
from kerascnn.data import named
from kerascnn.prediction.feature_files import ROWS, SIDE, Features


class Embedding:
    """Computes the features of images in parts.

    Args:
        predictor: A predictor that has its network.
        name: What it is, for messages.
        screen: Where the progress is shown.
        batch_size: Images of one call of the network.

    Attributes:
        refused: Number of images that could not be used, and of folders and patterns without any.
    """

    def __init__(self, predictor: Predictor, name: str, screen: Screen, batch_size: int) -> None:
        self.predictor, self.name, self.batch_size = predictor, name, batch_size
        self._screen = screen
        self.refused = 0
        features.function(predictor, name)  # says at once that there is no network

    def of(self, words: Sequence[str], what: str) -> Iterator[Features]:
        """Yields the features of the images that words of a command line name: files, folders, patterns, or - for a list."""
        paths: Iterable[str] = named.files(
            words, self._refuse, note=self._note, stdin=getattr(sys.stdin, "buffer", None)
        )
        total = None
        if named.STDIN not in words:
            paths = list(paths)
            total = len(paths)
        names: list[str] = []
        values: list[np.ndarray] = []
        with self._screen.phase(what, total) as phase:
            for row in features.rows(self.predictor, paths, self.name, self.batch_size):
                phase.advance()
                if row.features is None:
                    self._refuse(str(row.item), str(row.problem))
                    continue
                names.append(str(row.item))
                values.append(row.features)
                if len(names) == ROWS:
                    yield Features(names, np.stack(values))
                    names, values = [], []
        if names:
            yield Features(names, np.stack(values))

    def thumbnails(self, paths: Sequence[str]) -> np.ndarray:
        """Returns images as the network sees them, uint8 [n, SIDE, SIDE, 3]; gray where one can no longer be read."""
        import tensorflow as tf

        found = np.full((len(paths), SIDE, SIDE, 3), 127, np.uint8)
        for place, path in enumerate(paths):
            pixels = seen(self.predictor, path)
            if pixels is not None:
                found[place] = tf.cast(tf.image.resize(pixels, (SIDE, SIDE), antialias=True), tf.uint8).numpy()
        return found

    def _refuse(self, image: str, problem: str) -> None:
        self.refused += 1
        print(f"kerascnn: {one_line(image)}: {one_line(problem)}", file=sys.stderr)

    def _note(self, folder: str, why: str) -> None:
        print(f"kerascnn: {one_line(folder)}: skipped: {why}", file=sys.stderr)


def whole(parts: Iterable[Features]) -> Features:
    """Returns all parts as one; without any, features of no image."""
    found = list(parts)
    if not found:
        return Features([], np.empty((0, 0), np.float32))
    return Features([path for part in found for path in part.paths], np.concatenate([part.values for part in found]))


def seen(predictor: Predictor, path: str) -> np.ndarray | None:
    """Returns an image as the network sees it, uint8 [image_size, image_size, 3]; None if it cannot be read."""
    try:
        pixels = predictor.decoded(Path(path).read_bytes())
    except OSError:
        return None
    return None if isinstance(pixels, str) else pixels
