"""Starting from weights that were learned before: which, how they get into a network, and what of it is trained when.

A body that was trained already wants other treatment than a fresh head: the head alone first, the body's learning rate a
fraction of the head's, its first stages not at all (Yosinski et al., 2014). A frozen layer's normalizations run in inference
mode: with the statistics of small batches what was learned collapses (keras#9214).
"""

import hashlib
from pathlib import Path

import keras

from kerascnn.config import Config, UserError
from kerascnn.data import Splits
from kerascnn.models import weights
from kerascnn.models.published import locate
from kerascnn.models.tables import SMALL_IMAGE
from kerascnn.runs import Run

# With fewer training images of a class than this a network rarely learns from scratch what a pretrained one knows.
FEW = 2_000
HEAD = "logits"


def resolve(config: Config, image_size: int) -> Config:
    """`config` with the digest of the weights that it names, and the stem that they were trained with.

    Raises:
        UserError: There are no such weights, they are not those that the config was made with, or an option needs some.
    """
    section = config.model
    if section.weights is None:
        _needs_weights(config)
        return config
    digest = section.weights_sha256
    try:
        found = sha256(_file(section.weights, section.arch))
    except UserError:
        if digest is None:  # a run that has begun does not need the file any more
            raise
        found = digest
    if digest not in (None, found):
        raise UserError(
            f"--weights {section.weights}: sha256 {found[:12]}..., the config was made with {digest[:12]}...: the file has"
            " changed; give the one that was used, or leave weights_sha256 out"
        )
    return config.replace(model={"weights_sha256": found, "stem": _stem(config, image_size)})


def _needs_weights(config: Config) -> None:
    given = {
        "--freeze": config.model.freeze > 0,
        "--head-epochs": config.fit.head_epochs > 0,
        "--body-lr": config.optim.body_lr < 1,
        "weights_sha256": config.model.weights_sha256 is not None,
    }
    named = [flag for flag, there in given.items() if there]
    if named:
        raise UserError(
            f"{' '.join(named)}: nothing was learned before that could be kept; give --weights imagenet, a file or a run"
        )


def _stem(config: Config, image_size: int) -> str:
    """The stem that the weights have, a run's own or the published one, where `auto` would choose the other."""
    section = config.model
    if section.stem != "auto" or section.weights is None:
        return section.stem
    small = image_size <= SMALL_IMAGE
    path = Path(section.weights).expanduser()
    source = Run(path if path.is_dir() else path.parent)
    if source.config_file.exists():
        of_run = source.config()
        had = {"small": True, "large": False}.get(of_run.model.stem, (of_run.data.image_size or 0) <= SMALL_IMAGE)
    else:
        had = small and path.suffix == ".keras"
    return "auto" if had == small else "small" if had else "large"


def _file(source: str, arch: str) -> Path:
    folder = Path(source).expanduser()
    if not folder.is_dir():
        return locate(source, arch)
    run = Run(folder)
    run.metrics()  # says what is wrong where it is not finished
    return run.best_model


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def load(network: keras.Model, config: Config) -> list[str]:
    """Put the weights that a resolved `config` names into `network`; returns lines that say what was loaded.

    Raises:
        UserError: They don't fit, are damaged, or have changed since the config was resolved.
    """
    section = config.model
    assert section.weights is not None
    path = _file(section.weights, section.arch)
    if sha256(path) != section.weights_sha256:
        raise UserError(f"--weights {section.weights}: {path} has changed since this run was named after its content")
    return weights.load(network, section.arch, path)


def freeze(network: keras.Model, stages: int) -> None:
    """Keep the stem and the first `stages` stages as they are, their normalizations in inference mode.

    Raises:
        UserError: The network has fewer stages.
    """
    if not stages:
        return
    names = {layer.name for layer in network.layers}
    count = sum(f"stage{i}" in names for i in range(1, len(names)))
    if stages > count:
        raise UserError(f"--freeze {stages}: {network.name} has {count} stages")
    below = keras.Model(network.inputs, network.get_layer(f"stage{stages}").output)
    for layer in below.layers:
        layer.trainable = False


def freeze_body(network: keras.Model) -> None:
    """Keep everything but the head as it is."""
    for layer in network.layers:
        layer.trainable = layer.name == HEAD


def thaw(model: keras.Model) -> None:
    """Let every layer learn; a functional model's own `trainable` does not reach its layers."""
    for layer in model.layers:
        layer.trainable = True


def is_head(variable: keras.Variable) -> bool:
    """Whether `variable` is the head's: fresh where the number of classes differs."""
    return variable.path.startswith(f"{HEAD}/")


def advice(splits: Splits, config: Config) -> str | None:
    """What to say where a network starts from scratch on few images; None where it does not."""
    each = len(splits.train) / len(splits.class_names)
    if config.model.weights is not None or each >= FEW:
        return None
    return (
        f"note: {each:,.0f} training images a class, from scratch; fine-tuning needs fewer:"
        f" --config finetune --arch {config.model.arch} --weights imagenet (or a file, or a run)"
    )
