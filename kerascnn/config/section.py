"""A section of the config: frozen fields, whose bounds stand in their help, and one message for a value that does not fit."""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from kerascnn.errors import UserError

# Fields marked so may change between two starts of one run: they are not part of its identity.
VOLATILE: dict[str, JsonValue] = {"volatile": True}


_BOUNDS = ((Ge, "ge", ">="), (Gt, "gt", ">"), (Le, "le", "<="), (Lt, "lt", "<"))


# Keys of earlier versions, with what they are called now: a file or a flag that has one is answered with the new name.
RENAMED = {
    "early_stop": "patience",
    "inner_ratio": "bottleneck_ratio",
    "rounding": "width_divisor",
    "zero_gamma": "zero_init_residual",
    "body_lr": "backbone_lr_scale",
    "bias_lr": "bias_lr_scale",
    "small_epochs": "low_res_epochs",
    "freeze": "freeze_stages",
    "log_steps": "steps_per_log",
}


class FieldError(UserError):
    """A key or value that a section does not take.

    Attributes:
        section: Name of the section's class, lower case.
        key: The field, or the key that is none.
        problem: What was expected and what came, with the nearest name where there is one.
    """

    def __init__(self, section: str, key: str, problem: str) -> None:
        super().__init__(f"{key.replace('_', '-')}: {problem}" if key else problem)
        self.section, self.key, self.problem = section, key, problem


class Section(BaseModel):
    """A frozen group of fields; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def __init__(self, **fields: Any) -> None:
        for key, value in fields.items():
            if "\0" in str(value):  # no path and no name can hold it: every system call would refuse it
                raise FieldError(
                    type(self).__name__.lower(), key, f"expected text without NUL characters, got {value!r}"
                )
        # pydantic takes no text with bytes that are no UTF-8, which a path may have (PEP 383): it checks a twin without them.
        odd = {key: value for key, value in fields.items() if _has_odd_bytes(value)}
        try:
            super().__init__(**{**fields, **{key: _twin(value) for key, value in odd.items()}})
        except ValidationError as error:
            raise _field_error(type(self), error) from None
        for key, value in odd.items():
            checked = getattr(self, key)
            self.__dict__[key] = type(checked)(value) if isinstance(checked, Path | tuple) else value

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Write each field's bounds into its help, so that they are stated once."""
        for field in cls.model_fields.values():
            bounds = [
                f"{sign} {getattr(rule, name):g}"
                for rule in field.metadata
                for kind, name, sign in _BOUNDS
                if isinstance(rule, kind)
            ]
            if bounds and field.description:
                field.description = f"{field.description} [{', '.join(bounds)}]"

    @classmethod
    def volatile_fields(cls) -> set[str]:
        """Names of the fields that don't belong to a run's identity."""
        extras = {name: field.json_schema_extra for name, field in cls.model_fields.items()}
        return {name for name, extra in extras.items() if isinstance(extra, dict) and extra.get("volatile")}


def nearest(name: str, known: Iterable[str]) -> str:
    """' - perhaps you meant ...', or nothing where no known name is near."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" - perhaps you meant {close[0]!r}" if close else ""


def _has_odd_bytes(value: Any) -> bool:
    """Whether a text, a path or one of several has bytes that are no UTF-8."""
    if isinstance(value, tuple | list):
        return any(_has_odd_bytes(part) for part in value)
    return isinstance(value, str | Path) and any("\udc80" <= character <= "\udcff" for character in str(value))


def _twin(value: Any) -> Any:
    """The same with `?` for each byte that is no UTF-8."""
    if isinstance(value, tuple | list):
        return tuple(_twin(part) for part in value)
    if not _has_odd_bytes(value):
        return value
    return type(value)(re.sub("[\udc80-\udcff]", "?", str(value)))


def _field_error(section: type[Section], error: ValidationError) -> FieldError:
    first = error.errors()[0]
    key = str(first["loc"][0]) if first["loc"] else ""
    name = section.__name__.lower()
    if first["type"] == "extra_forbidden":
        if RENAMED.get(key) in section.model_fields:
            return FieldError(name, key, f"unknown key: it is called {RENAMED[key]!r} now")
        return FieldError(name, key, f"unknown key{nearest(key, section.model_fields)}")
    problem = first["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    if first["type"] == "literal_error":
        problem += nearest(str(first["input"]), re.findall(r"'([^']*)'", problem))
    got = f", got {first['input']!r}" if first["type"] != "value_error" else ""
    return FieldError(name, key, problem + got)
