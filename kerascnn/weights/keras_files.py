"""Reads weight files of Keras: those of keras.applications and our own."""

import io
import json
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import h5py
import keras
import numpy as np

from kerascnn import models
from kerascnn.cli.escaping import one_line
from kerascnn.errors import UserError
from kerascnn.weights import names
from kerascnn.weights.tensors import Tensor, Tensors, WeightFile

CONFIG_BYTES = 16 << 20  # bytes of a network's description; that of inception_resnet_v2 has 0.5 MB
INFLATED = 100  # largest ratio of unpacked to packed weights; Keras does not compress them
DEPTH = 20  # largest depth of groups; nested blocks of a network need six
DAMAGE = (OSError, KeyError, ValueError, TypeError, RuntimeError, RecursionError, zipfile.BadZipFile, zlib.error)


def read(path: Path, arch: str) -> WeightFile:
    """Reads a `.keras` file of this program, or a file of keras.applications.

    If the latter is of another network than the peer of `arch`, the tensors have no values and the names of the file: only
    their shapes tell which network it is. Raises UserError for a file that cannot be read.
    """
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                check_archive(path, archive)
                config = json.loads(archive.read("config.json"))
                if "kerascnn>" in json.dumps(config):
                    return _own(path)
                with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
                    shapes = dict(_datasets(file))
        else:
            with h5py.File(path) as file:
                shapes = dict(_datasets(file))
    except DAMAGE as error:
        reason = one_line(str(error))[:200]
        raise UserError(f"{path}: expected a weight file of Keras, but it cannot be read ({reason})") from error
    return WeightFile(path, "keras", _through_peer(path, arch, shapes) if arch in names.KERAS else shapes)


def check_archive(path: Path, archive: zipfile.ZipFile) -> None:
    """Raises UserError if an archive has more content than any network needs, before anything is unpacked."""
    for member in archive.infolist():
        limit = CONFIG_BYTES if member.filename.endswith(".json") else INFLATED * max(member.compress_size, 1)
        if member.file_size > limit:
            name = one_line(member.filename)[:100]
            raise UserError(f"{path}: refused, its {name} would unpack to {member.file_size:,} bytes")


def _own(path: Path) -> WeightFile:
    try:
        network = keras.saving.load_model(path, compile=False)
    except DAMAGE as error:
        reason = one_line(str(error))[:200]
        raise UserError(f"{path}: expected a network that this program saved ({reason})") from error
    arch = network.name if network.name in models.ARCHS else None
    return WeightFile(path, "kerascnn", {v.path: _in_memory(v) for v in network.weights}, arch)


def _in_memory(variable: keras.Variable) -> Tensor:
    return Tensor(tuple(variable.shape), lambda: keras.ops.convert_to_numpy(variable))


def _datasets(group: h5py.Group, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """Returns names and shapes of the data sets of an HDF5 file, without the state of optimizers and random layers.

    Links to other files and to other places of this one are skipped: Keras writes none, and a group may contain itself.

    Raises:
        ValueError: Groups are deeper than in any network.
    """
    if path.count("/") > DEPTH:
        raise ValueError(f"groups more than {DEPTH} deep")
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        item = group[name]
        if isinstance(item, h5py.Dataset):
            yield f"{path}{name}", Tensor(item.shape, _no_values)
        elif isinstance(item, h5py.Group) and not name.startswith(("optimizer", "seed_generator")):
            yield from _datasets(item, f"{path}{name}/")


def _no_values() -> np.ndarray:
    raise AssertionError("a tensor of another network's file has no values")


def same_shapes(network: keras.Model, tensors: Tensors) -> bool:
    """Returns whether a network of one of the two families has the shapes of a file, apart from the head."""
    return _counted(v.shape for v in network.weights) == _counted(t.shape for t in tensors.values())


def _counted(shapes: Iterable[tuple[int, ...]]) -> Counter:
    """Counts each shape, without the head: the only matrix, and a vector of its length."""
    counts = Counter(tuple(shape) for shape in shapes)
    for matrix in [shape for shape in counts if len(shape) == 2]:
        counts -= Counter([matrix, matrix[1:]])
    return counts


def _through_peer(path: Path, arch: str, tensors: Tensors) -> Tensors:
    """Reads the file through keras.applications' own model, by position, since names in old files are arbitrary.

    Returns `tensors` unchanged if it is a file of another network.
    """
    classes = next((tensor.shape[1] for tensor in tensors.values() if len(tensor.shape) == 2), None)
    options = {"weights": None, "include_top": classes is not None, "classifier_activation": None}
    peer = getattr(keras.applications, names.KERAS[arch][0])(**options, classes=classes or 1000)
    if not same_shapes(peer, tensors):
        return tensors
    try:
        peer.load_weights(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: keras.applications cannot read it ({str(error).splitlines()[0]})") from error
    return dict(_by_layer(peer))


def _by_layer(peer: keras.Model) -> Iterator[tuple[str, Tensor]]:
    """Returns a peer's weights as `layer/variable`; layers without a name of their own by type and position, as in
    `names.keras`.
    """
    unnamed: dict[str, list[tuple[int, keras.layers.Layer]]] = {}
    for layer in peer.layers:
        automatic = re.fullmatch(r"(conv2d|batch_normalization)(?:_(\d+))?", layer.name)
        if automatic:
            unnamed.setdefault(automatic[1], []).append((int(automatic[2] or 0), layer))
    labels = {
        id(layer): f"{kind}#{place}"
        for kind, layers in unnamed.items()
        for place, (_, layer) in enumerate(sorted(layers, key=lambda pair: pair[0]))
    }
    for layer in peer.layers:
        for variable in layer.weights:
            part = variable.name.replace("wise_kernel", "wise/kernel")  # the two kernels of a separable convolution
            yield f"{labels.get(id(layer), layer.name)}/{part}", _in_memory(variable)
