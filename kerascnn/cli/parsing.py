"""Config <-> flags. No TensorFlow.

Precedence: default < recipe (`--config`) < flag.
"""

import contextlib
import io
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, TypeVar

import tyro
from pydantic import Field

from kerascnn.cli import flags
from kerascnn.cli.help import CONFIG, HELP_ALL, PRINT_CONFIG, asks_for_help, help_text
from kerascnn.cli.recipes import dumps, load_recipe, load_toml, recipe_path
from kerascnn.config import Config, Data, Model
from kerascnn.config.section import RENAMED, FieldError, Section
from kerascnn.errors import DONE, UserError

# Flags of other tools, with what to type here.
FOREIGN = {
    "--model": "--arch",
    "-m": "--arch",
    "--network": "--arch",
    "--pretrained": "--weights imagenet",
    "--imgsz": "--image-size",
    "--img-size": "--image-size",
    "--size": "--image-size",
    "--data": "--dataset",
    "--name": "--run",
    "--project": "--runs-dir",
    "--amp": "--dtype mixed_bfloat16",
    "--precision": "--dtype",
    "--batch": "--batch-size",
    "-b": "--batch-size",
    "--opt": "--optimizer",
    "--sched": "--schedule",
    "--learning-rate": "--lr",
    "--wd": "--weight-decay",
    "--smoothing": "--label-smoothing",
    "--gpus": "--devices gpu:N",
    "--device": "--devices",
    "--num-classes": "nothing: the classes are the data set's",
}
ANSWERED = {
    "--resume": "is not needed: the same command resumes where it was stopped",
    "-j": "is not needed: input threads are chosen automatically",
    "--workers": "is not needed here: input threads are chosen automatically",
    "--num-workers": "is not needed: input threads are chosen automatically",
}

# tyro writes no help here, so it does not need the comments of the schema's source.
_TYRO = (tyro.conf.OmitArgPrefixes, tyro.conf.HelptextFromCommentsOff)

Parsed = TypeVar("Parsed", bound=Section)
ParsedConfig = TypeVar("ParsedConfig", bound=Config)
Naming = TypeVar("Naming", bound="NamesData")


def parse_config(
    argv: Sequence[str],
    *,
    prog: str,
    description: str,
    schema: type[ParsedConfig] = Config,  # type: ignore[assignment]
    decided: Mapping[str, str] = MappingProxyType({}),
) -> ParsedConfig:
    """Returns the config that `argv` describes, on top of the recipe that it names.

    Exits 0 after `--help` and after `--print-config`, which prints what a run keeps.

    Args:
        argv: Flags.
        prog: The command's name.
        description: What the command does.
        schema: Config, or a command's own with further sections.
        decided: Flags of the schema that the command decides itself, each with what to type instead.

    Raises:
        UserError: An unknown flag, key or value, or a flag that the command decides itself.
    """
    rest, recipe = _take(list(argv), CONFIG)
    print_config = PRINT_CONFIG in rest
    rest = [word for word in rest if word != PRINT_CONFIG]
    start = load_recipe(recipe) if recipe is not None else Config()
    # tyro would make a flag of each entry of a dict that is not empty (a second --stem of filters.stem).
    bare = start.replace(model={"filters": {}})
    config = parse(schema, rest, prog=prog, description=description, default=schema(**dict(bare)), decided=decided)
    config = _with_filters(config, start.model.filters)
    if print_config:
        print(dumps(Config(**{name: getattr(config, name) for name in Config.model_fields})), end="")
        raise SystemExit(DONE)
    return config


class NamesData(Section):
    """A command whose data set may be given without its flag: `kerascnn fit photos`."""

    images: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[DATASET]")] = Field(
        "", description="same as --dataset DATASET"
    )
    data: Data = Data()


class OfData(NamesData, Config):
    """A config whose data set may be given without its flag."""

    @property
    def config(self) -> Config:
        """The sections that a run keeps."""
        return Config(**{name: getattr(self, name) for name in Config.model_fields})


def _with_dataset(asked: Naming, argv: Sequence[str]) -> Naming:
    """Returns what the flags describe, with the data set that was given without its flag.

    Raises:
        UserError: It was also given with its flag.
    """
    if not asked.images:
        return asked
    if "dataset" in flags.given(type(asked), argv):
        raise UserError(f"{asked.images} and --dataset {asked.data.dataset}: give one of the two")
    values = {**dict(asked), "images": "", "data": type(asked.data)(**{**dict(asked.data), "dataset": asked.images})}
    return type(asked)(**values)


def told(argv: Sequence[str], schema: type[Section] = Config) -> set[str]:
    """Returns the names of the fields that a recipe or a flag in `argv` sets; all others have their defaults."""
    rest, recipe = _take(list(argv), CONFIG)
    tables = load_toml(recipe_path(recipe)).values() if recipe is not None else ()
    return flags.given(schema, rest) | {key for table in tables if isinstance(table, dict) for key in table}


def _with_filters(config: ParsedConfig, filters: dict[str, int]) -> ParsedConfig:
    """Returns `config` with the filter counts of a recipe, overridden by those of --filters."""
    model = {**dict(config.model), "filters": {**filters, **config.model.filters}}
    return type(config)(**{**dict(config), "model": Model(**model)})


def parse(
    schema: type[Parsed],
    argv: Sequence[str],
    *,
    prog: str,
    description: str,
    default: Parsed | None = None,
    decided: Mapping[str, str] = MappingProxyType({}),
) -> Parsed:
    """Returns the validated `schema` that the flags describe; the fields of its sections are flat flags.

    Exits 0 after `--help` and `--help-all`.

    Args:
        schema: The command's schema.
        argv: Flags.
        prog: The command's name.
        description: What the command does.
        default: The values of the fields that no flag sets; default: the schema's.
        decided: Flags of the schema that the command decides itself, each with what to type instead.

    Raises:
        UserError: A word that is not a flag or a value of one; says what was expected in one line.
    """
    default = schema() if default is None else default
    if asks_for_help(argv):
        everything = HELP_ALL in argv
        print(help_text(schema, default, prog=prog, description=description, everything=everything, hidden=decided))
        raise SystemExit(DONE)
    _answer_foreign(argv, schema, decided)
    errors = io.StringIO()
    try:
        if not any(word.startswith("--tyro-") for word in argv):  # tyro's own, such as --tyro-print-completion
            flags.check(schema, argv, further=(CONFIG, PRINT_CONFIG, HELP_ALL))
        with contextlib.redirect_stderr(errors):
            asked = tyro.cli(schema, args=list(argv), default=default, prog=prog, config=_TYRO)
        return _with_dataset(asked, argv) if isinstance(asked, NamesData) else asked
    except FieldError as error:
        flag = f"--{error.key.replace('_', '-')}: " if error.key else ""
        raise UserError(f"{flag}{error.problem} ({prog} --help)") from None
    except UserError as error:
        raise UserError(f"{error} ({prog} --help)") from None
    except SystemExit as error:
        if error.code:  # a mistake that `flags.check` does not cover: tyro's own message, whole
            raise UserError(f"these flags cannot be read ({prog} --help)\n{errors.getvalue().strip()}") from None
        raise


def _take(argv: list[str], flag: str) -> tuple[list[str], str | None]:
    """Returns `argv` without `flag VALUE` or `flag=VALUE`, and the value."""
    for i, word in enumerate(argv):
        if word.startswith(f"{flag}="):
            return argv[:i] + argv[i + 1 :], word.split("=", 1)[1]
        if word == flag:
            if i + 1 == len(argv):
                raise UserError(f"{flag}: expected a file or a recipe's name after it")
            return argv[:i] + argv[i + 2 :], argv[i + 1]
    return argv, None


def _answer_foreign(argv: Sequence[str], schema: type[Section], decided: Mapping[str, str]) -> None:
    own = flags.table(schema)
    for word in argv:
        flag = word.split("=", 1)[0]
        if flag in decided:
            raise UserError(f"{flag}: {decided[flag]}")
        if flag in own:
            continue
        renamed = RENAMED.get(flag.removeprefix("--").replace("-", "_"), "")
        if f"--{renamed.replace('_', '-')}" in own:
            raise UserError(f"{flag}: this is now called --{renamed.replace('_', '-')}")
        if flag in FOREIGN:
            raise UserError(f"{flag}: this is called {FOREIGN[flag]} here")
        if flag in ANSWERED:
            raise UserError(f"{flag} {ANSWERED[flag]}")
