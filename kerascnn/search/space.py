"""The search space: a TOML file of parameters, each the name of a config value. No TensorFlow.

arch = "resnet20"                      # network of the filter names (a family is resolved by the image size)

[fixed]                                # values of all candidates
"model.shortcut" = "B"

[parameters]
"filters.stage1" = { min = 8, max = 48, step = 8 }      # names of `kerascnn archs NAME --layers`
"blocks.1" = { choices = [1, 2, 3] }                    # blocks of a residual network's first stage
"model.bottleneck_ratio" = { choices = [0.5, 1.0] }          # any field of model, optim, augment or fit
"optim.lr" = { min = 0.02, max = 0.4, log = true }
"optim.momentum" = { choices = [0.8, 0.9], when = { "optim.optimizer" = ["sgd"] } }   # only where another has this value
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerascnn.architectures import filters, own, tables
from kerascnn.architectures.rows import ResNet
from kerascnn.cli.recipes import load_toml, recipe_path
from kerascnn.config import IDENTITY_SECTIONS
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.config.section import nearest
from kerascnn.errors import UserError

SECTIONS = tuple(name for name in IDENTITY_SECTIONS if name != "data")
KEYS = {"choices", "min", "max", "step", "log", "when"}
# Fields that a search decides itself.
DECIDED = {
    "model.arch",
    "model.weights",
    "optim.teacher",
    "fit.epochs",
    "fit.seed",
    "fit.monitor",
    "fit.patience",
    "fit.head_epochs",
    "fit.stop_epoch",
    "fit.max_hours",
}


@dataclass(frozen=True)
class Parameter:
    """A parameter of the space.

    Attributes:
        name: `filters.NAME`, `blocks.STAGE` or `SECTION.FIELD`.
        choices: The listed values, if any.
        low, high, step: A range with both ends; with step None any number between.
        log: Whether the range is sampled logarithmically.
        when: Name of another parameter -> the values for which this one matters.
    """

    name: str
    choices: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0
    step: float | None = None
    log: bool = False
    when: tuple[tuple[str, tuple[Any, ...]], ...] = ()

    def ends(self) -> tuple[Any, Any]:
        """Its smallest and largest value if it has an order, else the first and last."""
        if self.choices:
            ordered = sorted(self.choices) if all(isinstance(c, int | float) for c in self.choices) else self.choices
            return ordered[0], ordered[-1]
        return self.low, self.high

    def labels(self) -> tuple[Any, ...]:
        """Its choices for keras-tuner: plain values of one type."""
        if all(isinstance(choice, bool) for choice in self.choices):
            return self.choices
        if all(isinstance(choice, int | float) and not isinstance(choice, bool) for choice in self.choices):
            whole = all(isinstance(choice, int) for choice in self.choices)
            return self.choices if whole else tuple(float(choice) for choice in self.choices)
        return tuple(_label(choice) for choice in self.choices)

    def labels_ends(self) -> tuple[Any, Any]:
        """Its ends for keras-tuner."""
        names = dict(zip(self.choices, self.labels(), strict=True))
        low, high = self.ends()
        return names.get(low, low), names.get(high, high)

    def value(self, label: Any) -> Any:
        """Returns the choice of a label; for a range the number itself."""
        return dict(zip(self.labels(), self.choices, strict=True)).get(label, label) if self.choices else label

    def __str__(self) -> str:
        """Returns it as text: 8 to 64 in steps of 8."""
        if self.choices:
            said = ", ".join(map(_label, self.choices))
        else:
            step = f" in steps of {self.step:g}" if self.step else ""
            said = f"{self.low:g} to {self.high:g}{step}{', logarithmic' if self.log else ''}"
        conditions = [f"{other} is {' or '.join(map(_label, values))}" for other, values in self.when]
        return f"{said}{' where ' + ' and '.join(conditions) if conditions else ''}"


def _label(choice: Any) -> str:
    return " ".join(map(str, choice)) if isinstance(choice, tuple) else str(choice)


@dataclass(frozen=True)
class Space:
    """The parameters of a search, and the values of all candidates.

    Attributes:
        name: The file's name without its suffix.
        fixed: `SECTION.FIELD` to its value.
        parameters: Parameters in the order of the file.
    """

    name: str
    fixed: dict[str, Any]
    parameters: tuple[Parameter, ...]

    def apply(self, base: ResolvedConfig, values: dict[str, Any]) -> ResolvedConfig:
        """Returns the config of a candidate: `base`, the fixed values, and `values` by parameter name.

        Raises:
            UserError: A value is not valid for its field.
        """
        sections: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
        counts, depths = dict(base.model.filters), None
        known = {parameter.name: parameter for parameter in self.parameters}
        decoded = {name: known[name].value(value) for name, value in values.items()}
        for name, value in {**self.fixed, **decoded}.items():
            kind, _, key = name.partition(".")
            if kind == "filters":
                counts[key] = int(value)
            elif kind == "blocks":
                depths = depths or list(base.model.blocks or _depths(base.model.arch))
                depths[int(key) - 1] = int(value)
            else:
                sections[kind][key] = value
        sections["model"]["filters"] = counts
        if depths is not None:
            sections["model"]["blocks"] = tuple(depths)
        return base.replace(**sections)


def load(name: str, base: ResolvedConfig) -> Space:
    """Returns the space of a file, or of a name in `kerascnn/spaces`, for the network of `base` (resolved).

    Raises:
        UserError: There is no such file, it is not TOML, a name or value is not in the config (names the most similar), or it
            has no parameters.
    """
    path = recipe_path(name, "spaces")
    content = load_toml(path)
    for key in content.keys() - {"arch", "fixed", "parameters"}:
        raise UserError(f"{path}: unknown key {key!r}{nearest(key, ('arch', 'fixed', 'parameters'))}")
    arch = content.get("arch")
    if arch is not None and arch not in (base.model.arch, *tables.FAMILIES) and tables.row(arch):
        raise UserError(f"{path}: its names are of {arch}, the search is for {base.model.arch}: --arch {arch}")
    for key in ("fixed", "parameters"):
        if not isinstance(content.get(key, {}), dict):
            raise UserError(f"{path}: [{key}] must be a table, got {content[key]!r}")
    parameters = tuple(_parameter(path, key, given) for key, given in content.get("parameters", {}).items())
    if not parameters:
        raise UserError(f"{path}: there is nothing to vary: [parameters] has no entries")
    space = Space(path.stem, content.get("fixed", {}), parameters)
    _check(path, space, base)
    return space


def _parameter(path: Path, name: str, given: Any) -> Parameter:
    where = f"{path}: {name}"
    if not isinstance(given, dict):
        raise UserError(f"{where}: expected a table such as {{ min = 8, max = 64, step = 8 }}, got {given!r}")
    for key in given.keys() - KEYS:
        raise UserError(f"{where}: unknown key {key!r}{nearest(key, KEYS)}")
    conditions = given.get("when", {})
    if not isinstance(conditions, dict):
        raise UserError(
            f'{where}: when: expected a table such as {{ "optim.optimizer" = ["sgd"] }}, got {conditions!r}'
        )
    when = tuple((other, tuple(v) if isinstance(v, list) else (v,)) for other, v in conditions.items())
    if "choices" in given:
        if not isinstance(given["choices"], list):
            raise UserError(f"{where}: choices: expected a list, got {given['choices']!r}")
        choices = tuple(tuple(c) if isinstance(c, list) else c for c in given["choices"])
        if not choices or len(set(choices)) != len(choices):
            raise UserError(f"{where}: choices: expected different values, at least one, got {given['choices']}")
        return Parameter(name, choices=choices, when=when)
    low, high, step, log = given.get("min"), given.get("max"), given.get("step"), given.get("log", False)
    if not (isinstance(low, int | float) and isinstance(high, int | float) and low < high):
        raise UserError(f"{where}: expected choices, or min and max with min < max, got {given}")
    if step is None and isinstance(low, int) and isinstance(high, int) and not log:
        step = 1
    if not isinstance(log, bool):
        raise UserError(f"{where}: log: expected true or false, got {log!r}")
    if (step is not None and step <= 0) or (log and (low <= 0 or step is not None)):
        raise UserError(f"{where}: a step is above 0; a logarithmic range begins above 0 and has no step, got {given}")
    return Parameter(name, low=low, high=high, step=step, log=log, when=when)


def _check(path: Path, space: Space, base: ResolvedConfig) -> None:
    """Checks that every name exists in this network, and that the config accepts both ends of every range."""
    names = {} if own.parse(base.model.arch) else filters.names(base.model.arch)
    for name in [*space.fixed, *(parameter.name for parameter in space.parameters)]:
        _check_name(path, name, names, base)
    before: dict[str, Parameter] = {}
    for parameter in space.parameters:
        for other, values in parameter.when:
            if other not in before:
                raise UserError(
                    f"{path}: {parameter.name}: when names {other!r}, no parameter above it{nearest(other, before)}"
                )
            strange = set(values) - set(before[other].choices)
            if strange:
                raise UserError(f"{path}: {parameter.name}: {other} has no choice {', '.join(map(str, strange))}")
        before[parameter.name] = parameter
        for value in parameter.labels_ends():
            try:
                space.apply(base, {parameter.name: value})
            except UserError as error:
                raise UserError(f"{path}: {parameter.name} = {value!r}: {error}") from None


def _check_name(path: Path, name: str, names: Any, base: ResolvedConfig) -> None:
    kind, _, key = name.partition(".")
    arch = base.model.arch
    if kind == "filters":
        if key not in names:
            raise UserError(
                f"{path}: {name}: {arch} has no such filters{nearest(key, names)} (kerascnn archs {arch} --layers)"
            )
        return
    if kind == "blocks":
        depths = _depths(arch)
        if not key.isdecimal() or not 1 <= int(key) <= len(depths):
            raise UserError(f"{path}: {name}: {arch} has the stages blocks.1 to blocks.{len(depths)}")
        return
    if name in DECIDED:
        raise UserError(f"{path}: {name}: the search decides this itself (--{key})")
    fields = [f"{section}.{field}" for section in SECTIONS for field in type(getattr(base, section)).model_fields]
    fields = [field for field in fields if field not in ("model.filters", "model.blocks", *DECIDED)]
    if name not in fields:
        known = [*fields, *(f"filters.{known}" for known in names)]
        raise UserError(f"{path}: unknown parameter {name!r}{nearest(name, known)}")


def _depths(arch: str) -> tuple[int, ...]:
    row = tables.row(arch)
    if not isinstance(row, ResNet):
        raise UserError(f"blocks are of residual networks, {arch} has none to count")
    return row.depths
