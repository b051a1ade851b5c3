"""Config <-> TOML: recipes, and the config that a run keeps. No TensorFlow."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from kerascnn.config import Config
from kerascnn.config.defaults import with_former_lr
from kerascnn.config.section import FieldError, Section, nearest
from kerascnn.errors import UserError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PACKAGE = Path(__file__).resolve().parents[1]
RESOLVED = "resolved"  # the table of a run's config.toml that says what was used; it is not read back


def recipe_path(name: str, folder: str = "recipes") -> Path:
    """The TOML file that `name` means: a path, a run's directory, or a recipe that travels with the package."""
    path = Path(name)
    if path.is_dir():
        path = path / "config.toml"
    if path.is_file():
        return path
    place = PACKAGE / folder
    for candidate in (place / name, place / f"{name}.toml"):
        if candidate.is_file():
            return candidate
    known = sorted(found.stem for found in place.glob("*.toml"))
    flag, what = (
        ("--config", "recipe") if folder == "recipes" else (f"--{folder.removesuffix('s')}", folder.removesuffix("s"))
    )
    raise UserError(
        f"{flag}: no file {name!r}, nor a {what} of that name{nearest(name, known)}; {what}s: {', '.join(known)}"
    )


def load_toml(path: Path) -> dict[str, Any]:
    """The file's tables; a syntax error names the file and the line."""
    try:
        # A run's own file may name folders whose names are no UTF-8; people's files are UTF-8.
        errors = "surrogateescape" if path.name == "config.toml" else "strict"
        return tomllib.loads(path.read_text(encoding="utf-8-sig", errors=errors))
    except ValueError as error:  # syntax, bytes that are no UTF-8, a number of more digits than Python reads
        raise UserError(f"{path}: not valid TOML: {error}") from None
    except RecursionError:
        raise UserError(f"{path}: not valid TOML: nested too deeply") from None


def load_recipe(name: str | os.PathLike[str]) -> Config:
    """The config in a recipe or in a run's `config.toml`.

    Raises:
        UserError: Names file, section and key, and the nearest known one.
    """
    path = recipe_path(os.fspath(name))
    tables = load_toml(path)
    noted = tables.pop(RESOLVED, None) is not None
    for key, value in tables.items():
        if key not in Config.model_fields:
            home = [section for section, field in _sections().items() if key in field.model_fields]
            hint = f" - it belongs under [{home[0]}]" if home else nearest(key, Config.model_fields)
            raise UserError(f"{path}: unknown section {key!r}{hint}")
        if not isinstance(value, dict):
            raise UserError(f"{path}: [{key}] must be a section, got {value!r}")
    try:
        sections = {name: schema(**tables.get(name, {})) for name, schema in _sections().items()}
        config = Config(**sections)
    except FieldError as error:
        where = f"[{error.section}] {error.key}" if error.key else "config"
        elsewhere = [name for name, schema in _sections().items() if error.key in schema.model_fields]
        hint = f" - it belongs under [{elsewhere[0]}]" if "unknown key" in error.problem and elsewhere else ""
        raise UserError(f"{path}: {where}: {error.problem}{hint}") from None
    # A training writes environment.json after its config with the resolved values: without them it began before they were.
    began = path.name == "config.toml" and (path.parent / "environment.json").exists()
    return with_former_lr(config) if began and not noted else config


def _sections() -> dict[str, type[Section]]:
    return {name: type(section) for name, section in Config()}


def dumps(config: Config, resolved: Mapping[str, Any] | None = None) -> str:
    """The config as TOML: every field that has a value (None is always a default).

    Args:
        config: The config.
        resolved: What a training used where a field is None, as a table of its own that is not read back.
    """
    text = tomli_w.dumps(config.model_dump(mode="json", exclude_none=True), multiline_strings=False)
    if not resolved:
        return text
    table = tomli_w.dumps({RESOLVED: dict(resolved)})
    return f"{text}\n# What this run used, defaults included. A record: it is not read back.\n{table}"
