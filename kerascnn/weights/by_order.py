"""Weights of networks that are functions (`architectures.own`): they have no names in common, and are matched by their order.

They come from keras.applications' own downloader, or from a run or a `.keras` file of the same function.
"""

import os
import zipfile
from pathlib import Path

import keras
import numpy as np

from kerascnn import models
from kerascnn.architectures import own
from kerascnn.errors import UserError
from kerascnn.models import functions
from kerascnn.runs.files import write_file
from kerascnn.runs.scratch import scratch
from kerascnn.weights.keras_files import DAMAGE, check_archive

SUFFIX = ".npz"


def published(arch: own.OwnArch) -> Path:
    """Returns the published ImageNet weights of a network of keras.applications, in the order of our network's weights.

    Keras downloads them once; they are kept beside its own files, so that they have one content and one digest.

    Raises:
        UserError: It is not a network of keras.applications, or its weights cannot be downloaded.
    """
    if arch.file is not None:
        raise UserError(f"--weights imagenet: there are no published weights for {arch.name}; give a run of it")
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    path = home / "models" / f"kerascnn-{arch.function}{SUFFIX}"
    if not path.is_file():
        keep(functions.donor(arch), path)
    return path


def keep(network: keras.Model, path: Path) -> None:
    """Writes the weights of a network of `functions.donor`; equal weights give equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch() as folder:
        np.savez(folder / path.name, *network.get_weights())
        write_file(path, (folder / path.name).read_bytes())


def load(network: keras.Model, arch: own.OwnArch, path: Path) -> list[str]:
    """Sets the weights of `network`, which `models.build` made of `arch`; a head for other classes stays fresh.

    Layers that come before the head and whose size follows that of the images (those of VGG) must fit.

    Returns:
        Lines for the user about what was loaded and what was not.

    Raises:
        UserError: The file cannot be read, or holds another network.
    """
    values = _read(path, arch)
    variables = network.weights
    if len(values) != len(variables):
        raise UserError(f"{path} does not fit {arch.name}: it has {len(values)} tensors, the network {len(variables)}")
    of_head = {id(variable) for variable in models.head(network).weights}
    pairs = list(zip(variables, values, strict=True))
    misfits = [(variable, value) for variable, value in pairs if tuple(variable.shape) != value.shape]
    if wrong := [pair for pair in misfits if id(pair[0]) not in of_head]:
        variable, value = wrong[0]
        raise UserError(
            f"{path} does not fit {arch.name}: {len(wrong)} tensors have other shapes, the first {variable.path}:"
            f" expected {tuple(variable.shape)}, found {value.shape}"
        )
    fresh = of_head if misfits else set()
    for variable, value in pairs:
        if id(variable) not in fresh:
            variable.assign(value)
    said = [f"weights: {len(pairs) - len(fresh)} tensors of {len(pairs)} from {path.name}"]
    if misfits:
        theirs = misfits[0][1].shape[-1]
        said.append(f"head: the file's {theirs} classes are replaced by a fresh head for {network.output_shape[-1]}")
    return said


def _read(path: Path, arch: own.OwnArch) -> list[np.ndarray]:
    if path.suffix not in (SUFFIX, ".keras"):
        raise UserError(
            f"--weights {path}: {arch.name} starts from imagenet (keras:NAME), a run of it or its .keras file"
        )
    try:
        if path.suffix == SUFFIX:
            with np.load(path, allow_pickle=False) as file:
                return [file[name] for name in file.files]
        with zipfile.ZipFile(path) as archive:
            check_archive(path, archive)
        return keras.saving.load_model(path, compile=False, safe_mode=True).get_weights()
    except DAMAGE as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: expected weights of {arch.name}, but it cannot be read ({reason})") from error
