"""Loads published weights into a network, such that it computes exactly what the library that published them computes.

There are three layouts: that of torchvision and timm (`.pth`, `.safetensors`), that of keras.applications (`.h5`,
`.weights.h5`, `.keras`) and our own (`best.keras` of a run). `names` maps layers, the peers' row of `tables` has the
preparation of images.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import keras

from kerascnn import models
from kerascnn.architectures import own
from kerascnn.architectures.rows import HEADS
from kerascnn.errors import UserError
from kerascnn.weights import by_order, keras_files, names, pickled, safetensors
from kerascnn.weights.published import locate, published
from kerascnn.weights.tensors import Tensor, WeightFile

__all__ = ["load", "published"]

TORCH_VARIABLES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
SHOWN = 5  # largest number of names in a message


def load(model: keras.Model, arch: str, source: str | Path) -> list[str]:
    """Sets the weights of `model`, a single-output network of `models.build` for `arch`, from a weight file.

    Nothing is set unless everything except the head fits: if the file has another number of classes, or no head, the network
    keeps its fresh head. Auxiliary heads in the file are left out.

    Args:
        model: The network; its weights must be float32 (also under a mixed policy).
        arch: Its row, or the function that built it.
        source: "imagenet", "hf://timm/NAME", or a file: torchvision's or timm's `.pth` or `.safetensors`,
            keras.applications' `.h5`, `.weights.h5` or `.keras`, or a `.keras` file of this program.

    Returns:\n    Lines for the user about what was loaded and what was not.

    Raises UserError for a file that cannot be read or fits another arch, which the message names, and for tensors that are
    missing, unknown or have another shape, which the message names as well.
    """
    path = locate(source, arch)
    if function := own.parse(arch):
        return by_order.load(model, function, path)
    content = _read(path, arch)
    fits = _match(model.weights, arch, content)
    if not fits.perfect:
        raise UserError(_complaint(fits, arch, content))
    values = [tensor.read() for _, tensor in fits.found]  # all are read before any is set: damage may show only here
    for (variable, _), value in zip(fits.found, values, strict=True):
        variable.assign(value)
    count = f"{len(fits.found)} tensors of {len(model.weights)}"
    said = [f"weights: {count} from {content.path.name}", *fits.head]
    if fits.left_out:
        said.append(f"weights: left out {fits.left_out} tensors of auxiliary heads, which only training has")
    return said


def _read(path: Path, arch: str) -> WeightFile:
    if path.suffix in (".h5", ".hdf5", ".keras"):
        return keras_files.read(path, arch)
    if path.suffix == ".safetensors":
        return WeightFile(path, "torch", safetensors.read(path))
    if path.suffix in (".pth", ".pt", ".bin", ".tar"):
        return WeightFile(path, "torch", pickled.read(path))
    raise UserError(f"{path}: expected .pth, .safetensors, .h5 or .keras, got {path.suffix or 'no suffix'}")


# How a file fits


@dataclass(frozen=True)
class _Fit:
    """How a file fits a network: what to set, what to report about the head, and all problems."""

    found: list[tuple[keras.Variable, Tensor]]
    head: list[str]
    left_out: int
    missing: list[str]
    unknown: list[str]
    misfits: list[str]

    @property
    def perfect(self) -> bool:
        return not (self.missing or self.unknown or self.misfits)


def _match(variables: list[keras.Variable], arch: str, content: WeightFile) -> _Fit:
    """Matches `variables`, which have a path and a shape, with a file in the layout of `arch`."""
    table = _table(arch, content.layout)
    keys = {variable.path: _key(variable.path, table, content.layout) for variable in variables}
    auxiliary = names.AUXILIARY.get(arch, ()) if content.layout == "torch" else ()
    tensors = {key: tensor for key, tensor in content.tensors.items() if not key.endswith("num_batches_tracked")}
    known = {key: tensor for key, tensor in tensors.items() if not key.startswith(auxiliary)} if auxiliary else tensors
    fit = _Fit([], [], len(tensors) - len(known), [], sorted(known.keys() - set(keys.values())), [])
    ours = [(v, _converted(v.path, known[keys[v.path]], content.layout)) for v in variables if keys[v.path] in known]
    fit.missing.extend(keys[v.path] for v in variables if keys[v.path] not in known)
    fit.head.extend(_of_head(fit, ours, [keys[v.path] for v in variables if _of_a_head(v.path)]))
    for variable, tensor in ours:
        if _of_a_head(variable.path) and fit.head:
            continue
        fit.found.append((variable, tensor))
        if tuple(variable.shape) != tensor.shape:
            key = keys[variable.path]
            expected = _published_shape(variable.path, tuple(variable.shape), content.layout)
            fit.misfits.append(f"{key}: expected shape {expected}, found {content.tensors[key].shape}")
    return fit


def _of_a_head(path: str) -> bool:
    return path.partition("/")[0] in HEADS


def _of_head(fit: _Fit, ours: list[tuple[keras.Variable, Tensor]], keys: list[str]) -> list[str]:
    """Returns the line about a head that is not loaded: the file has none, or another number of classes."""
    if set(keys) <= set(fit.missing):
        fit.missing[:] = [key for key in fit.missing if key not in keys]
        return ["head: the file has none, so the network keeps a fresh one"]
    pairs = [(tuple(v.shape), tensor.shape) for v, tensor in ours if _of_a_head(v.path)]
    classes = {(mine[-1], theirs[-1]) for mine, theirs in pairs if mine[:-1] == theirs[:-1]}
    if len(pairs) == len(keys) and len(classes) == 1:
        (mine, theirs) = classes.pop()
        if mine != theirs and all(a[:-1] == b[:-1] for a, b in pairs):
            return [f"head: the file's {theirs} classes are replaced by a fresh head for {mine}"]
    return []


def _table(arch: str, layout: str) -> dict[str, str]:
    """Returns the map from our layers to a layout's; none for our own layout, which has our names."""
    return {"torch": names.torch, "keras": names.keras}[layout](arch) if layout != "kerascnn" else {}


def _key(path: str, table: dict[str, str], layout: str) -> str:
    """Returns the name in `layout` of our variable at `path`, or the path itself."""
    leaf, variable = path.rsplit("/", 1)
    layer = table.get(leaf)
    if layer is None:
        return path
    return f"{layer}.{TORCH_VARIABLES[variable]}" if layout == "torch" else f"{layer}/{variable}"


def _converted(path: str, tensor: Tensor, layout: str) -> Tensor:
    """Returns `tensor` in our order of axes: torch has output channels first, and 1x1 convolutions in place of our dense
    layers.
    """
    if layout != "torch" or not path.endswith("/kernel") or len(tensor.shape) < 2:
        return tensor
    shape = tensor.shape
    if "logits" in path or "/gate/" in path:
        if shape[2:] not in ((), (1, 1)):
            return tensor
        return Tensor((shape[1], shape[0]), lambda: tensor.read().reshape(shape[:2]).T)
    axes = (2, 3, 0, 1) if path.endswith("/depthwise/kernel") else (2, 3, 1, 0)
    if len(shape) != 4:
        return tensor
    return Tensor(tuple(shape[axis] for axis in axes), lambda: tensor.read().transpose(axes))


def _published_shape(path: str, shape: tuple[int, ...], layout: str) -> tuple[int, ...]:
    """Returns the shape of our variable in the order of the file."""
    if layout != "torch" or not path.endswith("/kernel"):
        return shape
    if path.endswith("/depthwise/kernel"):
        return (*shape[2:], *shape[:2])
    return (*reversed(shape[2:]), *shape[:2]) if len(shape) == 4 else shape[::-1]


# What is wrong


def _complaint(fit: _Fit, arch: str, content: WeightFile) -> str:
    others = [content.arch] if content.arch else list(_archs_that_fit(content))
    if others and arch not in others:
        return f"{content.path}: these are weights of {' or '.join(others)}, not of {arch}: --arch {others[0]}"
    kinds = (("of another shape", fit.misfits), ("missing", fit.missing), ("unknown", fit.unknown))
    wrong = "; ".join(f"{len(what)} {word}: {_some(what)}" for word, what in kinds if what)
    reason = "no network of `kerascnn archs` computes what this file holds"
    if others:
        reason = f"the file holds {arch}; this network was built with other filters, another stem or another shortcut"
    return f"{content.path} does not fit {arch}: {reason}. Tensors {wrong}"


def _some(items: list[str]) -> str:
    more = f", and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(items[:SHOWN]) + more


def _archs_that_fit(content: WeightFile) -> Iterator[str]:
    """The rows whose published form this file fits, its head apart."""
    for arch in models.ARCHS:
        table = _table(arch, content.layout)
        if not table or not _same_layers(table, arch, content):
            continue
        network = models.build(arch, (None, None, 3), 1, stem="large")
        if content.layout == "torch" and _match(network.weights, arch, content).perfect:
            yield arch
        if content.layout == "keras" and keras_files.same_shapes(network, content.tensors):
            yield arch


def _same_layers(table: dict[str, str], arch: str, content: WeightFile) -> bool:
    """Returns whether the file has exactly the layers of a table, apart from the head, without building networks.

    Files of Keras name their layers in several ways, so that there it is the number that must be equal.
    """
    if content.layout == "keras":
        parents = (key.rsplit("/", 1)[0] for key in content.tensors)
        layers = {parent.removesuffix("/depthwise").removesuffix("/pointwise") for parent in parents}
        return len({name.split("/")[0] for name in table.values()}) - len(layers) in (0, 1)
    auxiliary = names.AUXILIARY.get(arch, ())
    layers = {key.rsplit(".", 1)[0] for key in content.tensors if not (auxiliary and key.startswith(auxiliary))}
    return layers | {table["logits"]} == set(table.values())
