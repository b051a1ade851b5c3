"""Reads and writes configs as TOML: recipes, and the config of a run. No TensorFlow."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from kerascnn.config import Config
from kerascnn.config.defaults import with_former_lr
from kerascnn.config.section import FieldError, Section, nearest
from kerascnn.errors import UserError

PACKAGE = Path(__file__).resolve().parents[1]
RESOLVED = "resolved"  # table of a run's config.toml that records the values in use; it is not read back


def recipe_path(name: str, folder: str = "recipes") -> Path:
    """Returns the TOML file of `name`: a path, a run's directory, or the name of a recipe in the package."""
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
    """Returns the tables of a TOML file; a syntax error names the file and the line."""
    try:
        # The config.toml of a run may contain folder names that are not UTF-8; files that people write are UTF-8.
        errors = "surrogateescape" if path.name == "config.toml" else "strict"
        return tomllib.loads(path.read_text(encoding="utf-8-sig", errors=errors))
    except ValueError as error:  # syntax, bytes that are not UTF-8, or a number with too many digits
        raise UserError(f"{path}: not valid TOML: {error}") from None
    except RecursionError:
        raise UserError(f"{path}: not valid TOML: nested too deeply") from None


def load_recipe(name: str | os.PathLike[str]) -> Config:
    """Returns the config of a recipe or of a run's `config.toml`.

    Raises:
        UserError: The message names the file, section and key, and the most similar known key.
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
    # A run with environment.json but without resolved values comes from a version that did not record them.
    began = path.name == "config.toml" and (path.parent / "environment.json").exists()
    return with_former_lr(config) if began and not noted else config


def _sections() -> dict[str, type[Section]]:
    return {name: type(section) for name, section in Config()}


def dumps(config: Config, resolved: Mapping[str, Any] | None = None) -> str:
    """Returns the config as TOML, without fields that are None, which is always a default.

    Args:
        config: The config.
        resolved: Values that a training used for fields that are None; a separate table that is not read back.
    """
    text = tomli_w.dumps(config.model_dump(mode="json", exclude_none=True), multiline_strings=False)
    if not resolved:
        return text
    table = tomli_w.dumps({RESOLVED: dict(resolved)})
    return f"{text}\n# Values of this run, defaults included: a record that is not read back.\n{table}"
