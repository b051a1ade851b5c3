"""Averages of weights, with the statistics of normalizations computed again."""

import io
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kerascnn.cli.progress import SILENT, Phase
from kerascnn.cli.screen import Screen
from kerascnn.compat import keras as compat
from kerascnn.config.resolved import ResolvedFit
from kerascnn.data import views
from kerascnn.runs import Run
from kerascnn.runs.files import write_file
from kerascnn.training import finetune
from kerascnn.training.batches import Batches
from kerascnn.training.saving import save_model

IMAGES = 10_000  # training images for the statistics; an epoch where that has fewer


def mean_of(networks: Iterable[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """Returns the means of lists of weights, summed in float64; counts, such as those of seeds, stay those of the first."""
    sums: list[np.ndarray] = []
    first: Sequence[np.ndarray] = ()
    count = 0
    for weights in networks:
        first = first or weights
        wide = [value.astype("float64") if value.dtype.kind == "f" else value for value in weights]
        sums = [total + value for total, value in zip(sums, wide, strict=True)] if sums else wide
        count += 1
    return [
        (total / count).astype(value.dtype) if value.dtype.kind == "f" else value
        for total, value in zip(sums, first, strict=True)
    ]


def fill(
    network: keras.Model, weights: Sequence[np.ndarray], frozen: Collection[str], batches: Batches, screen: Screen
) -> None:
    """Gives a network averaged weights, and statistics of its own over augmented training images.

    Args:
        network: A single-output network in float32.
        weights: The average.
        frozen: Names of the layers whose normalizations run in inference mode in training, and keep their statistics.
        batches: The streams of the run.
        screen: Shows the progress.
    """
    network.set_weights(weights)
    keras.utils.set_random_seed(batches.config.draw_seed)  # of dropout, so that a second time gives the same
    count = math.ceil(min(IMAGES, len(batches.splits.train)) / batches.config.fit.batch_size)
    for layer in network.layers:
        layer.trainable = layer.name not in frozen
    try:
        with screen.phase("computing the statistics of normalizations", count) as phase:
            renormalize(network, batches.training(0).take(count), phase)
    finally:
        finetune.choose(network, network, freeze=0)


def renormalize(network: keras.Model, images: tf.data.Dataset, phase: Phase | None = None) -> int:
    """Computes the statistics of a network's batch normalizations again: an average of weights has others than its members.

    Each is the mean over the batches (Izmailov et al., 2018, section 3.2). Frozen normalizations keep theirs.

    Args:
        network: A single-output network in float32; its statistics are replaced.
        images: Batches of (images, ...).
        phase: Advanced batch by batch.

    Returns:
        The number of normalizations.
    """
    norms = [
        layer
        for layer in compat.nested_layers(network)
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    if not norms:
        return 0
    moving = [variable for layer in norms for variable in (layer.moving_mean, layer.moving_variance)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0  # the moving statistics are then those of the last batch
    run = tf.function(lambda batch: network(views.joined(batch), training=True), reduce_retracing=True)
    sums, count = [np.zeros(variable.shape) for variable in moving], 0
    try:
        for batch, *_ in (phase or SILENT.phase("")).over(images):
            run(batch)
            sums = [total + np.array(variable) for total, variable in zip(sums, moving, strict=True)]
            count += 1
    finally:
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum
    for variable, total in zip(moving, sums, strict=True):
        variable.assign(total / count)
    return len(norms)


class LastEpochs:
    """The weights after the last epochs of a run, one file each, so that a killed run resumes with what it has.

    Args:
        folder: Their folder.
        count: The number of epochs that are averaged.
        epochs: The number of epochs of the run; None: it may end before.
    """

    def __init__(self, folder: Path, count: int, epochs: int | None) -> None:
        self.folder, self.count, self.epochs = folder, count, epochs

    @classmethod
    def of(cls, run: Run, fit: ResolvedFit) -> "LastEpochs":
        """Returns those of a run: none without `--average-last`."""
        return cls(run.checkpoints, fit.average_last, None if fit.patience else fit.epochs)

    def keep(self, epoch: int, weights: Callable[[], Sequence[np.ndarray]]) -> None:
        """Keeps the weights after an epoch, from 1 on, if they may be averaged, and drops those of earlier ones."""
        if self.epochs is not None and epoch <= self.epochs - self.count:
            return
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **{str(i): value for i, value in enumerate(weights())})
        write_file(self._file(epoch), buffer.getvalue())
        for old in self.kept():
            if not epoch - self.count < old <= epoch:
                self._file(old).unlink()

    def kept(self) -> list[int]:
        """Returns the epochs whose weights are kept, in order."""
        return sorted(int(file.stem.removeprefix("epoch-")) for file in self.folder.glob("epoch-*.npz"))

    def mean(self) -> list[np.ndarray]:
        """Returns the mean of the weights that are kept."""
        return mean_of(self._read(epoch) for epoch in self.kept())

    def drop(self) -> None:
        """Removes all files."""
        for epoch in self.kept():
            self._file(epoch).unlink(missing_ok=True)

    def _file(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch}.npz"

    def _read(self, epoch: int) -> list[np.ndarray]:
        with self._file(epoch).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return [arrays[str(i)] for i in range(len(arrays.files))]


class KeepLast(keras.callbacks.Callback):
    """Keeps the weights after each of the last epochs; it precedes the checkpoint.

    Args:
        last: Where they are kept.
        weights: Function that returns the weights that val judged.
    """

    def __init__(self, last: LastEpochs, weights: Callable[[], Sequence[np.ndarray]]) -> None:
        super().__init__()
        self.last, self.weights = last, weights

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.last.keep(epoch + 1, self.weights)


def settle(
    last: LastEpochs, twin: keras.Model, network: keras.Model, run: Run, batches: Batches, screen: Screen
) -> None:
    """Gives `twin` the average of the last epochs of `network`, the trained one, and saves it as the run's model."""
    if not last.count:
        return
    epochs = last.kept()
    screen.say(f"average of the weights after epochs {epochs[0]} to {epochs[-1]}")
    frozen = {layer.name for layer in network.layers if not layer.trainable}
    fill(twin, last.mean(), frozen, batches, screen)
    save_model(twin, run.best_model)
