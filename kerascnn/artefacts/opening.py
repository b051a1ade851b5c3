"""Opens any artefact as a predictor: a run, an exported version, or one of its files; a damaged or foreign one is one message."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import keras
import tensorflow as tf

import kerascnn.layers  # noqa: F401 - a .keras file names these classes
from kerascnn.artefacts import further, further_graph, litert, onnx, openvino, savedmodel
from kerascnn.artefacts.file_rules import FileRules
from kerascnn.artefacts.predictor import Predictor
from kerascnn.artefacts.versions import versions
from kerascnn.config import Data
from kerascnn.data import decode, resize_mode
from kerascnn.errors import UserError
from kerascnn.models import functions
from kerascnn.models.ensemble import members_of
from kerascnn.runs import Run, described
from kerascnn.runs.scratch import in_text
from kerascnn.scoring import task as tasks
from kerascnn.scoring.label_metrics import Thresholds
from kerascnn.scoring.task import SINGLE, Task

NETWORK_FILE = "network.py"  # beside an exported `.keras` file: the source of layers of its own


class Given(NamedTuple):
    """The caller's facts about an artefact that may lack them, or None."""

    class_names: tuple[str, ...] | None = None
    image_size: int | None = None
    resize: decode.Mode | None = None
    task: Task | None = None
    thresholds: Thresholds | None = None

    @classmethod
    def of(cls, facts: Mapping[str, Any], thresholds: Thresholds | None = None) -> "Given":
        """Returns what data.json, or an export's metadata, says; `thresholds` are a run's own."""
        kept = facts.get("thresholds")
        known = thresholds if kept is None else Thresholds.read(kept)
        return cls(tuple(facts["class_names"]), facts["image_size"], facts["resize"], tasks.of_facts(facts), known)


def open_any(path: Path, given: Given) -> Predictor:
    """See `kerascnn.artefacts.open`."""
    if path.suffix in _FILES and path.is_file():
        return _FILES[path.suffix](path, _known_nearby(path, given))
    if path.is_dir():
        if Run(path).config_file.exists():
            return _open_run(Run(path), given)
        for version in (path, *(path / str(number) for number in reversed(versions(path)))):
            if (version / "saved_model.pb").is_file():
                return _open_saved_model(version, given)
    there = "something else" if path.exists() else "nothing"
    raise UserError(
        f"expected a run's directory, a SavedModel, or a .keras, .tflite, .onnx or .xml file at {path}, found {there}"
    )


def _open_run(run: Run, given: Given) -> Predictor:
    if not run.best_model.exists():
        raise UserError(f"run {run.name} has no {run.best_model.name} yet: the command that started it resumes it")
    return _open_keras(run.best_model, _known_nearby(run.best_model, given))


def of_run(run: Run, model: keras.Model) -> Predictor:
    """Returns the predictor of a finished run whose best model is already loaded."""
    given = _known_nearby(run.best_model, Given())
    return _of_network(run.best_model, model, given)


def known_facts(path: Path) -> Given:
    """Returns the facts that lie beside a `.keras` file, or in a version of a SavedModel, without opening it."""
    return _known_nearby(path / "saved_model.pb" if path.is_dir() else path, Given())


def _known_nearby(path: Path, given: Given) -> Given:
    """Returns the facts of the run or export that contains `path`, or `given` if there is none; arguments must agree."""
    run = Run(path.parent)
    if path == run.best_model and run.data_file.exists():
        return _agreed(str(run.path), Given.of(run.data(), run.thresholds), given)
    try:
        metadata = savedmodel.read_metadata(path.parent)
    except OSError:
        return given
    if not metadata.keys() >= {"class_names", "image_size", "resize"}:  # a file of another program with that name
        return given
    return _agreed(str(path.parent), Given.of(metadata), given)


def _agreed(where: str, known: Given, given: Given) -> Given:
    for name, mine, yours in zip(Given._fields, known, given, strict=True):
        if yours is not None and yours != mine:
            said = [one.name if isinstance(one, Task) else repr(one) for one in (mine, yours)]
            raise UserError(f"{where} has {name} {said[0]}, but {said[1]} was given: leave it out")
    return known


def _open_keras(path: Path, given: Given) -> Predictor:
    found = _of_network(path, load_keras(path), given)
    try:
        rules = _rules(savedmodel.read_metadata(path.parent))
    except OSError:  # not the file of an export
        return found
    if rules is None or found.network is None:
        return found
    further = further_graph.of_network(found.network, rules, found.task.activation)
    return replace(found, further=further, rules=rules)


def _rules(metadata: Mapping[str, Any]) -> FileRules | None:
    if "trust" not in metadata:
        return None
    try:
        return FileRules.read(metadata["trust"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"the metadata of its prediction sets is damaged: {error!r}") from None


def _of_network(path: Path, model: keras.Model, given: Given) -> Predictor:
    infer = probabilities_of(model, given.task or SINGLE)
    found = _described(path, model.input_shape[1], model.output_shape[-1], given, infer)
    # An ensemble has no maps of its own: its members look at different places.
    return found if members_of(model) > 1 else replace(found, network=model)


Compute = Callable[[Any, Sequence[str]], Mapping[str, Any]]  # images and names of outputs -> these outputs


def _probabilities(compute: Compute) -> Callable[[Any], Any]:
    return lambda images: compute(images, ["probabilities"])["probabilities"]


def _with_further(predictor: Predictor, compute: Compute, names: Sequence[str]) -> Predictor:
    """Returns a predictor whose artefact has outputs of these names."""
    wanted = further.passed_on(names)
    return replace(predictor, further=lambda images: compute(images, wanted)) if len(wanted) > 1 else predictor


Reader = Callable[[Path], tuple[Compute, list[str], int, int, dict[str, Any]]]


def _open_file(read: Reader, kind: str, path: Path, given: Given) -> Predictor:
    """Opens a file that may hold its own facts."""
    with _damage(path, kind):
        compute, names, side, classes, known = read(path)
    if known:
        described(known, path)
        given = _agreed(str(path), Given.of(known), given)
    found = replace(_described(path, side, classes, given, _probabilities(compute)), rules=_rules(known))
    if "features" in names:
        found = replace(found, pooled=lambda images: compute(images, ["features"])["features"])
    return _with_further(found, compute, names)


_FILES: dict[str, Callable[[Path, Given], Predictor]] = {
    ".keras": _open_keras,
    ".onnx": functools.partial(_open_file, onnx.reader, "an ONNX file"),
    ".xml": functools.partial(_open_file, openvino.reader, "an OpenVINO file"),
    ".tflite": functools.partial(_open_file, litert.reader, "a LiteRT file"),
}


def _described(path: Path, side: int | None, classes: int, given: Given, infer: Callable[[Any], Any]) -> Predictor:
    """Returns the Predictor of a file that takes images of `side` px (None: any size); unknown facts have defaults."""
    size = given.image_size or side
    if size is None:
        raise UserError(f"{path} takes images of any size: give the one that it was trained on (image_size)")
    if side not in (None, size):
        raise UserError(f"{path} takes images of {side} px, but image_size {size} was given")
    names = given.class_names or tuple(str(number) for number in range(classes))
    if len(names) != classes:
        raise UserError(f"{path} has {classes} classes, but {len(names)} class names were given")
    resize, task = given.resize or resize_mode(Data(), size), given.task or SINGLE
    return Predictor(names, size, resize, infer, task=task, thresholds=given.thresholds)


@contextlib.contextmanager
def _damage(path: Path, kind: str) -> Iterator[None]:
    """Turns any error of a runtime about a damaged or foreign file into one message."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # runtimes raise different classes
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"{path} is not {kind} of kerascnn, or is damaged: {reason}") from error


def load_keras(path: Path) -> keras.Model:
    """Loads the network of a `.keras` file in safe mode: a file that would run its own code is refused.

    The best model of a run may need classes of the file that defines its network: they come from the copy that the run keeps,
    which runs. Nothing runs beside any other file.

    Raises:
        UserError: It is damaged, unsafe, or not a network of `models.build` (which ends in a layer `logits`).
    """
    run = Run(path.parent)
    if path == run.best_model and run.network_file.exists():
        functions.provide(run.network_file)
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # errors of zip, JSON, HDF5 and of every layer
        reason = " ".join(str(error).split())
        if functions.MODULE in reason:
            raise UserError(
                f"{path} has layers of {NETWORK_FILE}, which is not run for a single file: give the run's directory, or a"
                " SavedModel, .onnx, .xml or .tflite file, which need no code"
            ) from error
        raise UserError(f"{path} cannot be loaded: {reason[:300]}") from error
    if not isinstance(model, keras.Model) or model.layers[-1].name != "logits":
        raise UserError(f"{path} is not a network of kerascnn: it does not end in a layer called logits")
    return model


def probabilities_of(model: keras.Model, task: Task = SINGLE) -> Callable[[Any], Any]:
    """Returns `Predictor.infer` of a network with logits as output."""
    activation = getattr(tf.nn, task.activation)

    def infer(images):
        return activation(tf.cast(model(images, training=False), tf.float32))

    spec = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32)
    return tf.function(infer, input_signature=[spec], autograph=False, jit_compile=False)


def _open_saved_model(version: Path, given: Given) -> Predictor:
    with _damage(version, "a SavedModel"):
        metadata = savedmodel.read_metadata(version)
        known = Given.of(metadata)
        names, size, resize = known.class_names or (), metadata["image_size"], metadata["resize"]
        with in_text(version) as named:
            loaded = tf.saved_model.load(str(named))
        outputs = loaded.signatures["images"].structured_outputs
        classes = outputs["probabilities"].shape[-1]
    if classes != len(names):
        raise UserError(f"{version} has {classes} classes, but its metadata.json names {len(names)}: it is damaged")
    _agreed(str(version), known, given)

    def compute(images: Any, wanted: Sequence[str]) -> dict[str, Any]:
        # The signature alone does not keep the weights alive.
        found = loaded.signatures["images"](images=tf.convert_to_tensor(images))
        return {name: found[name] for name in wanted}

    task, infer = known.task or SINGLE, _probabilities(compute)
    predictor = Predictor(names, size, resize, infer, task=task, thresholds=known.thresholds, rules=_rules(metadata))
    if "features" in loaded.signatures:

        def pooled(images: Any) -> Any:
            return loaded.signatures["features"](images=tf.constant(images))["features"]

        predictor = replace(predictor, pooled=pooled)
    return _with_further(predictor, compute, list(outputs))
