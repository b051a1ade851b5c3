"""Fine-tuning: which weights a network starts from, how they are loaded, and which layers are trained when.

A trained backbone needs different treatment than a fresh head: first the head alone, a fraction of the learning rate, and its
first stages fixed (Yosinski et al., 2014). The normalizations of a frozen layer run in inference mode: with the statistics of
small batches the features collapse (keras#9214).
"""

import contextlib
import hashlib
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import keras

from kerascnn import models, weights
from kerascnn.architectures import own
from kerascnn.architectures.shape import SHAPE
from kerascnn.architectures.tables import SMALL_IMAGE
from kerascnn.cli.escaping import expanded
from kerascnn.config import AnyConfig, Config, Model
from kerascnn.data import Splits
from kerascnn.data.preflight import source
from kerascnn.errors import UserError
from kerascnn.layers import AuxiliaryHead
from kerascnn.runs import WEIGHTS_PIN, Run
from kerascnn.weights.published import has_published, locate

# With fewer training images per class, training from scratch is rarely as good as a pretrained network.
FEW = 2_000
KERAS_WEIGHTS = "model.weights.h5"
HINT = "hint"  # the layer of `--distill feature`, which only the model in training has


def resolve(config: AnyConfig, image_size: int) -> AnyConfig:
    """Returns `config` with the digest of its weights after their path, and with the stem that they were trained with.

    Raises:
        UserError: There are no such weights, they differ from those of the config, or an option needs weights.
    """
    section = config.model
    if section.weights is None:
        _needs_weights(config)
        return config
    if section.whiten:
        raise UserError("--whiten: the first convolution comes with --weights; give one of the two")
    place, pinned = place_and_pin(section.weights)
    try:
        found = fingerprint(_file(place, section.arch))
    except UserError:
        if pinned:  # a run that has begun no longer needs the file
            return config
        raise
    if pinned not in ("", found):
        raise UserError(
            f"--weights {section.weights}: the file now has sha256 {found[:12]}...: give the weights that were used,"
            f" or start another run with --weights {place}"
        )
    stem = _stem(section, place, image_size)
    return config.replace(model={"weights": f"{place}{WEIGHTS_PIN}{found}", "stem": stem})


def copies(section: Model) -> list[Path]:
    """Returns the copy of a network's file that the run of `--weights` keeps, if there is one."""
    if section.weights is None:
        return []
    run = source(expanded(place_and_pin(section.weights)[0]))
    return [run.network_file] if run is not None and run.network_file.exists() else []


def place_and_pin(text: str, flag: str = "--weights") -> tuple[str, str]:
    """Returns the path in the value of a flag, and the digest that its content must have, or an empty text."""
    place, mark, pin = text.partition(WEIGHTS_PIN)
    if mark and not re.fullmatch("[0-9a-f]{64}", pin):
        raise UserError(f"{flag}: expected 64 hex digits after {WEIGHTS_PIN}, got {pin!r}")
    return place, pin


def _needs_weights(config: Config) -> None:
    given = {
        "--freeze-stages": config.model.freeze_stages > 0,
        "--head-epochs": config.fit.head_epochs > 0,
        "--backbone-lr-scale": config.optim.backbone_lr_scale < 1,
    }
    named = [flag for flag, there in given.items() if there]
    if named:
        raise UserError(
            f"{' '.join(named)}: there are no pretrained weights to keep; give --weights imagenet, a file or a run"
        )


def _stem(section: Model, place: str, image_size: int) -> str:
    """Returns the stem of the weights, a run's own or the published one, if `auto` would choose the other."""
    if section.stem != "auto" or own.parse(section.arch):
        return section.stem
    small = image_size <= SMALL_IMAGE
    path = expanded(place)
    run = source(path)
    if run:
        of_run = run.config()
        had = {"small": True, "large": False}.get(of_run.model.stem, (of_run.data.image_size or 0) <= SMALL_IMAGE)
    else:
        had = small and path.suffix == ".keras"
    return "auto" if had == small else "small" if had else "large"


def _file(place: str, arch: str) -> Path:
    folder = expanded(place)
    if not folder.is_dir():
        return locate(place, arch)
    run = Run(folder)
    run.config()  # these two raise if it is not a run, or is not finished
    run.metrics()
    return run.best_model


def fingerprint(path: Path) -> str:
    """Returns the sha256 of a weight file in hex; of a `.keras` file only its weights count, not dates and addresses."""
    digest = hashlib.sha256()
    with contextlib.ExitStack() as stack:
        if path.suffix == ".keras" and zipfile.is_zipfile(path):
            archive = stack.enter_context(zipfile.ZipFile(path))
            if KERAS_WEIGHTS not in archive.namelist():
                raise UserError(f"{path}: expected a file that Keras saved; it lacks {KERAS_WEIGHTS}")
            file: IO[bytes] = stack.enter_context(archive.open(KERAS_WEIGHTS))
        else:
            file = stack.enter_context(path.open("rb"))
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def load(network: keras.Model, section: Model) -> list[str]:
    """Loads the weights of a resolved `section`, if any, into `network`; returns lines that report them.

    Raises:
        UserError: They do not fit, are damaged, or have changed since the config was resolved.
    """
    if section.weights is None:
        return []
    place, pinned = place_and_pin(section.weights)
    path = _file(place, section.arch)
    if fingerprint(path) != pinned:
        raise UserError(f"--weights {place}: {path} has changed since this run began")
    try:
        return weights.load(network, section.arch, path)
    except UserError as error:
        raise UserError(f"{error}{_built_with(path, section)}") from None


def _built_with(path: Path, section: Model) -> str:
    """Returns the flags that would build the network of a run's weights, if they differ from this one's."""
    run = source(path)
    if run is None:
        return ""
    theirs = run.config().model
    differ = [name for name in ("arch", *SHAPE) if getattr(theirs, name) != getattr(section, name)]
    flags = [_as_flag(name, getattr(theirs, name)) for name in differ]
    return f". That run was built with {', '.join(flags)}" if flags else ""


def _as_flag(name: str, value: object) -> str:
    flag = f"--{name.replace('_', '-')}"
    if value in (None, (), {}):
        return f"no {flag}"
    if isinstance(value, dict):
        return f"{flag} {' '.join(f'{key} {count}' for key, count in value.items())}"
    return f"{flag} {' '.join(map(str, value)) if isinstance(value, tuple) else value}"


def heads(model: keras.Model) -> list[keras.layers.Layer]:
    """Returns the layers with fresh weights if the number of classes differs: the head, and in training auxiliary heads and
    the map to a teacher's features.
    """
    extra = [layer for layer in model.layers if isinstance(layer, AuxiliaryHead) or layer.name == HINT]
    return [models.head(getattr(model, "network", model)), *extra]


def choose(
    model: keras.Model, network: keras.Model, freeze: int, alone: Sequence[keras.layers.Layer] | None = None
) -> None:
    """Sets which layers of `model` are trained; the normalizations of the others run in inference mode.

    Args:
        model: The model in training: `network`, possibly with auxiliary heads.
        network: The single-output network.
        freeze: Number of stages that, with the stem, keep their weights and statistics.
        alone: The only layers that are trained, or None for all but the frozen ones.

    Raises:
        UserError: The network has fewer stages.
    """
    below = {*(_below(network, freeze) if freeze else ()), *getattr(network, "frozen", ())}
    for layer in model.layers:
        trained = layer in alone if alone is not None else layer.name not in below
        if layer.trainable != trained:  # setting it sets it for all layers inside
            layer.trainable = trained


def _below(network: keras.Model, stages: int) -> set[str]:
    """Returns the names of the layers up to the output of stage number `stages`."""
    names = {layer.name for layer in network.layers}
    count = sum(f"stage{i}" in names for i in range(1, len(names)))
    if stages > count:
        raise UserError(f"--freeze-stages {stages}: {network.name} has {count} stages")
    part = keras.Model(network.inputs, network.get_layer(f"stage{stages}").output)
    return {layer.name for layer in part.layers}


def advice(splits: Splits, config: Config) -> str | None:
    """Returns advice if a network starts from scratch on few images, else None."""
    each = len(splits.train) / len(splits.class_names)
    if config.model.weights is not None or each >= FEW:
        return None
    arch = own.shown(config.model.arch)
    if has_published(arch):
        source = "--weights imagenet (a network once), a file or a run"
    else:
        source = f"--weights FILE or RUN ({arch} has none published; `--arch resnet50 --image-size 224` has)"
    return f"note    {each:,.0f} training images a class, from scratch; fine-tuning needs fewer: --config finetune {source}"
