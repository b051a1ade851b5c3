"""What a config names (arch, data set, weights), looked up before anything is read. No TensorFlow."""

from collections.abc import Collection, Sequence
from pathlib import Path

from kerascnn.architectures import filters, tables
from kerascnn.architectures.shape import SHAPE, Shape
from kerascnn.cli.escaping import expanded, one_line
from kerascnn.config import Config, Data, Model
from kerascnn.data import default_image_size, existing
from kerascnn.errors import UserError
from kerascnn.runs import WEIGHTS_PIN, Run, finding
from kerascnn.runs.files import nearest_path

_PUBLISHED = ("imagenet", "hf://")  # what --weights fetches


def check(config: Config, archs: Sequence[str] = ()) -> Config:
    """The config with the run that `--weights` names as a path; refuses what is not there.

    Args:
        config: Not resolved yet.
        archs: Instead of the config's own.

    Raises:
        UserError: An unknown arch, a data set or weights that are not there: names the nearest.
    """
    for arch in archs or (config.model.arch,):
        tables.resolve(arch, tables.SMALL_IMAGE)
    existing.check(config.data)
    _check_split_file(config.data)
    place = _place(config.model)
    if place is None:
        return config
    path = finding.find(place, config.logging.runs_dir)
    run = source(path)
    if run is not None and path.is_dir():
        run.metrics()  # says what to do where it is not finished
    return config if str(path) == place else config.replace(model={"weights": str(path)})


def check_shape(config: Config) -> None:
    """Refuse filter names, blocks and ratios that the config's arch does not have; after `adopt`.

    Raises:
        UserError: Names the nearest.
    """
    model, size = config.model, config.data.image_size or default_image_size(config.data.dataset)
    filters.resolve(tables.resolve(model.arch, size), Shape.of(model))


def _check_split_file(section: Data) -> None:
    if section.split_file is not None and not expanded(section.split_file).is_file():
        near = nearest_path(expanded(section.split_file))
        raise UserError(f"--split-file: there is no file {one_line(section.split_file)}{near}")


def dataset(name: str | None, data_dir: str | None) -> None:
    """Refuse other images than a run's own that are not there."""
    if name is not None and not (
        name.startswith("tfds:") and data_dir is None
    ):  # the run may say where TFDS keeps them
        existing.check(Data(dataset=name, data_dir=data_dir))


def adopt(config: Config, told: Collection[str]) -> tuple[Config, str]:
    """The config with the network and the image size of the run that `--weights` names, and a line that says so.

    What flags or a recipe say stays: the names of those fields are in `told`. A config that names weights by their digest
    was made from them already, and stays as it is.
    """
    place = _place(config.model)
    run = None if place is None else source(Path(place))
    if run is None:
        return config, ""
    theirs = run.config()
    family = tables.FAMILIES.get(config.model.arch, ())
    if "arch" in told and config.model.arch != theirs.model.arch and not _member(theirs.model.arch, family):
        return config, ""  # whose weights cannot be loaded: says so once it is tried
    fields = ["arch", *(name for name in SHAPE if name not in told)]
    taken = {name: getattr(theirs.model, name) for name in fields}
    size = config.data.image_size if "image_size" in told else theirs.data.image_size
    adopted = config.replace(model=taken, data={"image_size": size})
    differs = [name for name in SHAPE if getattr(adopted.model, name) != Model.model_fields[name].get_default()]
    shape = "".join(f", --{name.replace('_', '-')} {_shown(getattr(adopted.model, name))}" for name in differs)
    return adopted, f"start   {theirs.model.arch}{shape}, {size} px: as {run.path} has it"


def source(path: Path) -> Run | None:
    """The run that a place of weights belongs to: its folder, or a file in it."""
    run = Run(path if path.is_dir() else path.parent)
    return run if run.config_file.exists() else None


def _place(model: Model) -> str | None:
    """Where the weights are that are to be looked up; None for published ones, and for those that a run started from."""
    place = model.weights
    if place is None or WEIGHTS_PIN in place or place.startswith(_PUBLISHED):
        return None
    return place


def _member(arch: str, family: tuple[str, ...]) -> bool:
    """Whether an arch belongs to the family that these two stand for."""
    return bool(family) and tables.row(arch).family == tables.row(family[0]).family


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key} {count}" for key, count in value.items())
    return " ".join(map(str, value)) if isinstance(value, tuple) else f"{value}"
