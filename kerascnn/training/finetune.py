"""Starting from weights that were learned before: which, how they get into a network, and what of it is trained when.

A body that was trained already wants other treatment than a fresh head: the head alone first, the body's learning rate a
fraction of the head's, its first stages not at all (Yosinski et al., 2014). A frozen layer's normalizations run in inference
mode: with the statistics of small batches what was learned collapses (keras#9214).
"""

import contextlib
import hashlib
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import keras

from kerascnn import weights
from kerascnn.architectures.shape import SHAPE
from kerascnn.architectures.tables import SMALL_IMAGE
from kerascnn.cli.escaping import expanded
from kerascnn.config import AnyConfig, Config, Model
from kerascnn.data import Splits
from kerascnn.data.preflight import source
from kerascnn.errors import UserError
from kerascnn.layers import AuxiliaryHead
from kerascnn.models import HEADS
from kerascnn.runs import WEIGHTS_PIN, Run
from kerascnn.weights.published import has_published, locate

# With fewer training images of a class than this a network rarely learns from scratch what a pretrained one knows.
FEW = 2_000
KERAS_WEIGHTS = "model.weights.h5"


def resolve(config: AnyConfig, image_size: int) -> AnyConfig:
    """`config` with the digest of the weights that it names behind their place, and the stem that they were trained with.

    Raises:
        UserError: There are no such weights, they are not those that the config was made with, or an option needs some.
    """
    section = config.model
    if section.weights is None:
        _needs_weights(config)
        return config
    if section.whiten:
        raise UserError("--whiten: the first convolution comes with --weights; give one of the two")
    place, pinned = _place_and_pin(section.weights)
    try:
        found = fingerprint(_file(place, section.arch))
    except UserError:
        if pinned:  # a run that has begun does not need the file any more
            return config
        raise
    if pinned not in ("", found):
        raise UserError(
            f"--weights {section.weights}: what is there now has sha256 {found[:12]}...: give the weights that were used,"
            f" or start another run with --weights {place}"
        )
    stem = _stem(section, place, image_size)
    return config.replace(model={"weights": f"{place}{WEIGHTS_PIN}{found}", "stem": stem})


def _place_and_pin(weights: str) -> tuple[str, str]:
    """Where they are, and the digest of what must be there, empty where any will do."""
    place, mark, pin = weights.partition(WEIGHTS_PIN)
    if mark and not re.fullmatch("[0-9a-f]{64}", pin):
        raise UserError(f"--weights: expected 64 hex digits after {WEIGHTS_PIN}, got {pin!r}")
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
            f"{' '.join(named)}: nothing was learned before that could be kept; give --weights imagenet, a file or a run"
        )


def _stem(section: Model, place: str, image_size: int) -> str:
    """The stem that the weights have, a run's own or the published one, where `auto` would choose the other."""
    if section.stem != "auto":
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
    run.config()  # these two say what is wrong where it is no run, or not finished
    run.metrics()
    return run.best_model


def fingerprint(path: Path) -> str:
    """sha256 of a weight file, hex; of the weights alone in a `.keras` file, whose other parts hold dates and addresses."""
    digest = hashlib.sha256()
    with contextlib.ExitStack() as stack:
        if path.suffix == ".keras" and zipfile.is_zipfile(path):
            archive = stack.enter_context(zipfile.ZipFile(path))
            if KERAS_WEIGHTS not in archive.namelist():
                raise UserError(f"{path}: expected a file that Keras saved; there is no {KERAS_WEIGHTS} in it")
            file: IO[bytes] = stack.enter_context(archive.open(KERAS_WEIGHTS))
        else:
            file = stack.enter_context(path.open("rb"))
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def load(network: keras.Model, section: Model) -> list[str]:
    """Put the weights that a resolved `section` names, if any, into `network`; returns lines that say what was loaded.

    Raises:
        UserError: They don't fit, are damaged, or have changed since the config was resolved.
    """
    if section.weights is None:
        return []
    place, pinned = _place_and_pin(section.weights)
    path = _file(place, section.arch)
    if fingerprint(path) != pinned:
        raise UserError(f"--weights {place}: {path} has changed since this run was named after its content")
    try:
        return weights.load(network, section.arch, path)
    except UserError as error:
        raise UserError(f"{error}{_built_with(path, section)}") from None


def _built_with(path: Path, section: Model) -> str:
    """The flags that would build the network of a run's weights, where they differ from this one's."""
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
    """The layers whose weights are fresh where the number of classes differs: the head, and in training auxiliary ones."""
    return [layer for layer in model.layers if layer.name in HEADS or isinstance(layer, AuxiliaryHead)]


def choose(
    model: keras.Model, network: keras.Model, freeze: int, alone: Sequence[keras.layers.Layer] | None = None
) -> None:
    """Set which layers of `model` learn; the others' normalizations run in inference mode.

    Args:
        model: What is trained: `network`, perhaps with auxiliary heads.
        network: The single-output network.
        freeze: The stem and so many stages keep their weights and statistics.
        alone: The only layers that learn; None for all but the frozen ones.

    Raises:
        UserError: The network has fewer stages.
    """
    below = _below(network, freeze) if freeze else set()
    for layer in model.layers:
        layer.trainable = layer in alone if alone is not None else layer.name not in below


def _below(network: keras.Model, stages: int) -> set[str]:
    """Names of the layers up to the output of stage number `stages`."""
    names = {layer.name for layer in network.layers}
    count = sum(f"stage{i}" in names for i in range(1, len(names)))
    if stages > count:
        raise UserError(f"--freeze-stages {stages}: {network.name} has {count} stages")
    part = keras.Model(network.inputs, network.get_layer(f"stage{stages}").output)
    return {layer.name for layer in part.layers}


def advice(splits: Splits, config: Config) -> str | None:
    """What to say where a network starts from scratch on few images; None where it does not."""
    each = len(splits.train) / len(splits.class_names)
    if config.model.weights is not None or each >= FEW:
        return None
    arch = config.model.arch
    if has_published(arch):
        source = "--weights imagenet (a network once), a file or a run"
    else:
        source = f"--weights FILE or RUN ({arch} has none published; `--arch resnet50 --image-size 224` has)"
    return f"note    {each:,.0f} training images a class, from scratch; fine-tuning needs fewer: --config finetune {source}"
