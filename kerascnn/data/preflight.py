"""Looks up the arch, data set and weights of a config before anything is read. No TensorFlow."""

from collections.abc import Collection, Sequence
from pathlib import Path

from kerascnn.architectures import filters, own, tables
from kerascnn.architectures.shape import SHAPE, Shape
from kerascnn.cli.escaping import expanded, one_line
from kerascnn.config import Config, Data, Model
from kerascnn.data import default_image_size, existing
from kerascnn.errors import UserError
from kerascnn.runs import WEIGHTS_PIN, Run, finding
from kerascnn.runs.files import nearest_path

_PUBLISHED, _HUB = "imagenet", "hf://"  # weights that are downloaded


def check(config: Config, archs: Sequence[str] = ()) -> Config:
    """Returns the config with the runs of `--weights` and `--teacher` as paths, after checking that everything exists.

    Args:
        config: A config that is not resolved.
        archs: Archs to check instead of the config's own.

    Raises:
        UserError: An unknown arch, or a data set or weights that do not exist; names the most similar.
    """
    for arch in archs or (config.model.arch,):
        tables.resolve(arch, tables.SMALL_IMAGE)
    images(config.data)
    if config.data.folds is not None and config.data.fold is None:
        raise UserError(
            f"--folds {config.data.folds}: which one? --fold 1 (fit and compare train the runs of all folds)"
        )
    sections: dict[str, dict[str, str]] = {}
    for section, field, value in (
        ("model", "weights", config.model.weights),
        ("optim", "teacher", config.optim.teacher),
    ):
        place = _place(value)
        if place is not None:
            sections[section] = {field: str(_found(place, config.logging.runs_dir))}
    return config.replace(**sections)


def _found(place: str, runs_dir: Path) -> Path:
    """Returns the path of weights or of a teacher, of which a run must be finished."""
    path = finding.find(place, runs_dir)
    run = source(path)
    if run is not None and path.is_dir():
        run.metrics()  # says what to do if it is not finished
    return path


def check_shape(config: Config) -> None:
    """Checks that the config's arch has the given filter names, blocks and ratios; call it after `adopt`.

    Raises:
        UserError: It does not; names the most similar.
    """
    model, size = config.model, config.data.image_size or default_image_size(config.data.dataset)
    if function := own.parse(model.arch):
        own.check_options(function, model)
    else:
        filters.resolve(tables.resolve(model.arch, size), Shape.of(model))


def images(section: Data) -> None:
    """Checks that the data set of a section exists, and the files that split or correct it.

    Raises:
        UserError: One does not; names the most similar.
    """
    existing.check(section)
    for flag, file in (("split-file", section.split_file), ("exclude", section.exclude), ("relabel", section.relabel)):
        if file is not None and not expanded(file).is_file():
            raise UserError(f"--{flag}: there is no file {one_line(file)}{nearest_path(expanded(file))}")


def dataset(name: str | None, data_dir: str | None) -> None:
    """Checks that images other than a run's own exist."""
    if name is not None and not (
        name.startswith("tfds:") and data_dir is None
    ):  # the folder of TFDS may come from the run
        existing.check(Data(dataset=name, data_dir=data_dir))


def adopt(config: Config, told: Collection[str]) -> tuple[Config, str]:
    """Returns the config with the network and image size of the run of `--weights`, and a line that reports it.

    Values of flags or of a recipe stay: `told` has the names of their fields. A config whose weights are pinned by a digest
    was already adapted, and stays as it is.
    """
    place = _place(config.model.weights)
    run = None if place is None else source(Path(place))
    if run is None:
        return config, ""
    theirs = run.config()
    family = tables.FAMILIES.get(config.model.arch, ())
    same = own.shown(config.model.arch) == own.shown(theirs.model.arch)
    if "arch" in told and not same and not _member(theirs.model.arch, family):
        return config, ""  # its weights cannot be loaded, which is reported later
    fields = ["arch", *(name for name in SHAPE if name not in told)]
    if "arch" in told and same:  # a file of that name, which may have changed
        fields.remove("arch")
    taken = {name: getattr(theirs.model, name) for name in fields}
    size = config.data.image_size if "image_size" in told else theirs.data.image_size
    adopted = config.replace(model=taken, data={"image_size": size})
    differs = [name for name in SHAPE if getattr(adopted.model, name) != Model.model_fields[name].get_default()]
    shape = "".join(f", --{name.replace('_', '-')} {_shown(getattr(adopted.model, name))}" for name in differs)
    return adopted, f"start   {own.shown(theirs.model.arch)}{shape}, {size} px: as in {run.path}"


def source(path: Path) -> Run | None:
    """Returns the run of a path of weights: its folder, or a file in it."""
    run = Run(path if path.is_dir() else path.parent)
    return run if run.config_file.exists() else None


def _place(place: str | None) -> str | None:
    """Returns the path of weights or a teacher to look up, or None for published ones and for those of a started run."""
    if place is None or WEIGHTS_PIN in place or place.startswith(_HUB) or place.partition(":")[0] == _PUBLISHED:
        return None
    return place


def _member(arch: str, family: tuple[str, ...]) -> bool:
    """Returns whether an arch belongs to the family of these two."""
    return bool(family) and tables.family(arch) == tables.family(family[0])


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key} {count}" for key, count in value.items())
    return " ".join(map(str, value)) if isinstance(value, tuple) else f"{value}"
