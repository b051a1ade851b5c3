"""Builds and checks networks that are not rows of this package: see `architectures.own`."""

import inspect
import sys
import traceback
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerascnn.architectures import own
from kerascnn.architectures.own import OwnArch
from kerascnn.errors import UserError
from kerascnn.layers import Preprocess
from kerascnn.models import adapting
from kerascnn.runs.scratch import scratch

# Module of a file's content, by its digest: classes that Keras does not know by name are found in it.
MODULE = "kerascnn_network_"
PROBES = 4  # random images of the check
CLOSE = 1e-3  # largest difference of a logit before saving and after loading


def build(
    arch: OwnArch, input_shape: tuple[int | None, int | None, int], num_classes: int, options: dict[str, Any]
) -> keras.Model:
    """Returns the network of a function in the form of `models.build` (`adapting`).

    Args:
        arch: The function.
        input_shape: Height, width and 3.
        num_classes: Number of logits.
        options: Values by the names of `own.ARGUMENTS`.

    Raises:
        UserError: It raises, takes other arguments, or returns no model of these shapes.
    """
    height, width, channels = input_shape
    if height is None or width is None:
        raise UserError(f"{arch.name} is built for images of one size, got {tuple(input_shape)}")
    sides = height, width, channels
    function = _function(arch)
    given = _arguments(arch, function, options)
    if arch.file is None:
        made = _application(arch, function, sides, num_classes, given)
    else:
        made = _called(arch, function, sides, num_classes, **given)
    return adapting.adapted(_checked(arch, made, sides, num_classes), arch.name)


def source(arch: OwnArch) -> bytes:
    """Returns the content of the file of a resolved arch, whose function this process has built."""
    return _SOURCES[arch.pin]


_SOURCES: dict[str, bytes] = {}  # by digest


def check(arch: OwnArch, image_size: int, num_classes: int, options: dict[str, Any]) -> list[tuple[int, ...]]:
    """Builds the network once and checks what only its outputs and its file tell, once for each process.

    Returns:
        The shapes of its weights.

    Raises:
        UserError: As `build`; it ends in a softmax, its outputs are not finite, or it cannot be saved and loaded again.
    """
    asked = (arch.function, arch.pin, image_size, num_classes, tuple(sorted(options.items())))
    if asked in _CHECKED:
        return _CHECKED[asked]
    network = build(arch, (image_size, image_size, 3), num_classes, options)
    if arch.file is not None:
        pixels = np.random.default_rng(0).uniform(0, 255, (PROBES, image_size, image_size, 3)).astype("float32")
        outputs = keras.ops.convert_to_numpy(network(pixels, training=False))
        _check_outputs(arch, outputs)
        _check_saving(arch, network, pixels, outputs)
    _CHECKED[asked] = [tuple(variable.shape) for variable in network.weights]
    return _CHECKED[asked]


_CHECKED: dict[Any, list[tuple[int, ...]]] = {}


# From a name to a function


def provide(path: Path) -> None:
    """Makes the content of a file known: an arch with its digest is then built from it, wherever its own file is.

    Also the classes that it defines become known to Keras, which loads saved networks by their names.

    Raises:
        UserError: It raises.
    """
    source = path.read_bytes()
    _module(source, path)


def find(arch: OwnArch, copies: Iterable[Path]) -> None:
    """Makes the content of a resolved arch known from a copy, if its own file has changed or is gone.

    Only a copy with the digest of the arch is used.
    """
    if not arch.pin or _module_name(arch.pin) in sys.modules or _has(arch.path, arch.pin):
        return
    if copy := next((path for path in copies if _has(path, arch.pin)), None):
        provide(copy)


def _has(path: Path, digest: str) -> bool:
    return path.is_file() and own.digest(path.read_bytes()) == digest


def _function(arch: OwnArch) -> Callable[..., Any]:
    if arch.file is None:
        own.check(arch)
        return getattr(keras.applications, arch.function)
    module = sys.modules.get(_module_name(arch.pin)) if arch.pin else None
    if module is None:
        own.check(arch)
        module = _module(_pinned_source(arch), arch.path)
    function = getattr(module, arch.function, None)
    if not callable(function):
        raise UserError(f"--arch {arch.name}: {arch.function} is not a function, but {type(function).__name__}")
    return function


def _pinned_source(arch: OwnArch) -> bytes:
    """Returns the content of a file, which must have the digest of the arch if there is one."""
    try:
        source = arch.path.read_bytes()
    except OSError as error:
        raise UserError(f"--arch {arch.name}: cannot read {arch.path}: {error.strerror}") from None
    if arch.pin and own.digest(source) != arch.pin:
        raise UserError(
            f"--arch {arch.name}: {arch.path} has changed since this run began (sha256 {arch.pin[:12]}...):"
            f" --arch {arch.file}:{arch.function} starts another run"
        )
    return source


def _module(source: bytes, path: Path) -> types.ModuleType:
    """Returns the module of a file's content; it runs once for each process."""
    digest = own.digest(source)
    name, _SOURCES[digest] = _module_name(digest), source
    if name in sys.modules:
        return sys.modules[name]
    module = types.ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # before it runs, as an import does
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except Exception as error:
        del sys.modules[name]
        raise UserError(f"--arch {path.name}: {path} raises {_where(error, path)}") from error
    _register(module)
    return module


def _register(module: types.ModuleType) -> None:
    """Makes the classes that a module defines known to Keras, which refuses to load a file with others."""
    for value in list(vars(module).values()):
        mine = isinstance(value, type) and value.__module__ == module.__name__ and hasattr(value, "get_config")
        if mine and keras.saving.get_registered_name(value) == value.__name__:  # not registered by the file itself
            keras.saving.register_keras_serializable(package=module.__name__)(value)


def _module_name(digest: str) -> str:
    return f"{MODULE}{digest[:16]}"


def _where(error: BaseException, path: Path) -> str:
    """Returns an error as text, with the last line of the file that it passed through."""
    lines = [each.lineno for each in traceback.extract_tb(error.__traceback__) if each.filename == str(path)]
    place = f" (line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}{place}"


def _arguments(arch: OwnArch, function: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """Returns the values of options by the names that the function has for them."""
    if not options:
        return {}
    known = inspect.signature(function).parameters
    given = {}
    for name, value in options.items():
        argument = next((each for each in own.ARGUMENTS[name] if each in known), None)
        if argument is None:
            names = " or ".join(own.ARGUMENTS[name])
            raise UserError(f"--{name.replace('_', '-')}: {arch.name} takes no argument {names}")
        given[argument] = value
    return given


def _called(arch: OwnArch, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    try:
        return function(*args, **kwargs)
    except Exception as error:  # the user's code, or Keras' refusal of its arguments
        raise UserError(f"--arch {arch.name}: {_where(error, arch.path)}") from error


# keras.applications


def _application(
    arch: OwnArch,
    function: Callable[..., Any],
    input_shape: tuple[int, int, int],
    num_classes: int,
    given: dict[str, Any],
) -> Any:
    """Returns a network of keras.applications with fresh weights; it takes raw pixels, and returns logits."""
    images = keras.Input(input_shape, name="images")
    mean, std, reverse = pixels_of(arch)
    prepared = Preprocess(mean, std, reverse=reverse, name="preprocess")(images) if (mean, std) != _RAW else images
    return _called(
        arch,
        function,
        input_tensor=prepared,
        input_shape=input_shape,
        classes=num_classes,
        weights=None,
        classifier_activation=None,
        **given,
    )


def donor(arch: OwnArch) -> keras.Model:
    """Returns a network of keras.applications with its published weights, which Keras downloads and caches.

    Its weights are in the order of `build`'s network.

    Raises:
        UserError: They cannot be downloaded, or there are none.
    """
    function = _function(arch)
    try:
        made = function(weights="imagenet", classifier_activation=None)
    except Exception as error:  # a downloader without network access may raise anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"--weights imagenet: keras.applications.{arch.function}: {reason}") from error
    return adapting.adapted(adapting.functional(made, made.input_shape[1:]), arch.name)


_RAW = ((0.0,) * 3, (1.0,) * 3)  # of networks that prepare images themselves


def pixels_of(arch: OwnArch) -> tuple[tuple[float, ...], tuple[float, ...], bool]:
    """Returns mean, standard deviation and whether channels are reversed of a network's own `preprocess_input`.

    All of them are affine in each channel: the values follow from its outputs for black, and for one channel at a time.
    """
    prepare = sys.modules[_function(arch).__module__].preprocess_input
    probes = np.zeros((4, 1, 1, 3), "float64")
    for channel in range(3):
        probes[1 + channel, ..., channel] = 255.0
    zero, *one = prepare(probes)[:, 0, 0]
    reverse = bool(abs(one[0] - zero)[2] > abs(one[0] - zero)[0])
    order = (2, 1, 0) if reverse else (0, 1, 2)
    std = [255.0 / float((one[order[place]] - zero)[place]) for place in range(3)]
    mean = [-float(zero[place]) * std[place] for place in range(3)]
    return tuple(round(value, 6) + 0.0 for value in mean), tuple(round(value, 6) for value in std), reverse


# What is wrong


def _checked(arch: OwnArch, made: Any, input_shape: tuple[int, ...], num_classes: int) -> keras.Model:
    """Returns what a function returned as a graph of layers, after checking it."""

    def wrong(what: str) -> UserError:
        return UserError(f"--arch {arch.name}: {what}")

    if not isinstance(made, keras.Model):
        raise wrong(f"expected a keras.Model, its function returned {type(made).__name__}")
    if not made.built:
        raise wrong("expected a built model, such as keras.Model(inputs, outputs), or one that begins with keras.Input")
    if adapting.has_graph(made) and (len(made.inputs) != 1 or len(made.outputs) != 1):
        raise wrong(f"expected one input and one output, got {len(made.inputs)} and {len(made.outputs)}")
    graph = adapting.functional(made, input_shape)
    taken, given = tuple(graph.inputs[0].shape), tuple(graph.outputs[0].shape)
    if len(taken) != 4 or any(side not in (None, asked) for side, asked in zip(taken[1:], input_shape, strict=True)):
        raise wrong(f"expected images {('batch', *input_shape)}, its input is {taken}")
    if given[1:] != (num_classes,):
        raise wrong(f"expected logits ('batch', {num_classes}), its output is {given}")
    for what, dtype in (("input", graph.inputs[0].dtype), ("output", graph.outputs[0].dtype)):
        if what == "input" and dtype != "float32":
            raise wrong(f"expected a float32 input (pixels from 0 to 255), got {dtype}")
        if dtype not in ("float32", "bfloat16", "float16"):
            raise wrong(f"expected a float {what}, got {dtype}")
    if name := _activation(graph):
        raise wrong(f"it ends in {name}: expected logits, such as Dense(num_classes) without an activation")
    return graph


def _activation(network: keras.Model) -> str | None:
    """Returns the softmax or sigmoid that a network ends in, or None."""
    last = network.layers[-1]
    if isinstance(last, keras.Model) and last.layers:
        return _activation(last)
    name = getattr(getattr(last, "activation", None), "__name__", "")
    if isinstance(last, keras.layers.Softmax):
        name = "softmax"
    return name if name in ("softmax", "sigmoid") else None


def _check_outputs(arch: OwnArch, outputs: np.ndarray) -> None:
    if not np.isfinite(outputs).all():
        raise UserError(f"--arch {arch.name}: its outputs for random pixels from 0 to 255 are not finite")
    if outputs.shape[1] > 1 and (outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-3):
        raise UserError(
            f"--arch {arch.name}: its outputs are probabilities (they sum to 1): expected logits, without a softmax"
        )


def _check_saving(arch: OwnArch, network: keras.Model, pixels: np.ndarray, outputs: np.ndarray) -> None:
    """Saves and loads the network, as a run does."""
    try:
        with scratch() as folder:
            network.save(folder / "network.keras")
            loaded = keras.models.load_model(folder / "network.keras", compile=False, safe_mode=True)
        again = keras.ops.convert_to_numpy(loaded(pixels, training=False))
    except Exception as error:  # of the user's layers, of zip, JSON and HDF5
        reason = " ".join(str(error).rpartition("Exception encountered: ")[2].split())[:300]
        raise UserError(
            f"--arch {arch.name}: its network cannot be saved and loaded again: each layer of your own needs get_config,"
            f" and a Lambda layer cannot be saved ({type(error).__name__}: {reason})"
        ) from error
    scale = max(1.0, float(np.abs(outputs).max()))
    if not np.allclose(again, outputs, atol=CLOSE * scale):
        raise UserError(
            f"--arch {arch.name}: the saved and loaded network computes something else (up to"
            f" {np.abs(again - outputs).max():.2g}): a layer keeps numbers that are neither weights nor in get_config"
        )
