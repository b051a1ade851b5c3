"""A section of the config: frozen fields, and one message for a value that is not valid."""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from pydantic.fields import FieldInfo

from kerascnn.errors import UserError

# Fields with this mark may change between two starts of a run: they are not part of its identity.
VOLATILE: dict[str, JsonValue] = {"volatile": True}


_BOUNDS = ((Ge, "ge", ">="), (Gt, "gt", ">"), (Le, "le", "<="), (Lt, "lt", "<"))


# Old names of keys and flags -> their present names, which the error message gives.
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
    """A key or value that is not valid in a section.

    Attributes:
        section: Name of the section's class in lower case.
        key: The field, or the unknown key.
        problem: What was expected and what was given, with the nearest name if there is one.
    """

    def __init__(self, section: str, key: str, problem: str) -> None:
        super().__init__(f"{key.replace('_', '-')}: {problem}" if key else problem)
        self.section, self.key, self.problem = section, key, problem


class Section(BaseModel):
    """A frozen group of fields; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def __init__(self, **fields: Any) -> None:
        for key, value in fields.items():
            if "\0" in str(value):  # no path or name can contain it: system calls refuse it
                raise FieldError(
                    type(self).__name__.lower(), key, f"expected text without NUL characters, got {value!r}"
                )
        # pydantic rejects text with bytes that are not UTF-8, which a path may contain (PEP 383): it checks a copy without them.
        odd = {key: value for key, value in fields.items() if _has_odd_bytes(value)}
        try:
            super().__init__(**{**fields, **{key: _without_odd_bytes(value) for key, value in odd.items()}})
        except ValidationError as error:
            raise _field_error(type(self), error) from None
        for key, value in odd.items():
            checked = getattr(self, key)
            self.__dict__[key] = type(checked)(value) if isinstance(checked, Path | tuple) else value

    @classmethod
    def volatile_fields(cls) -> set[str]:
        """Returns the names of the fields that are not part of a run's identity."""
        extras = {name: field.json_schema_extra for name, field in cls.model_fields.items()}
        return {name for name, extra in extras.items() if isinstance(extra, dict) and extra.get("volatile")}


def bounds(field: FieldInfo) -> str:
    """Returns the bounds of a number as text, such as `>= 0, < 1`, or an empty text."""
    rules = [
        (sign, getattr(rule, name)) for rule in field.metadata for kind, name, sign in _BOUNDS if isinstance(rule, kind)
    ]
    return ", ".join(f"{sign} {value:g}" if isinstance(value, float) else f"{sign} {value}" for sign, value in rules)


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns ' - perhaps you meant ...' with a known name that begins so, else the most similar one, or an empty text."""
    names = list(known)
    begun = [one for one in names if len(name) > 2 and one.startswith(name)]
    close = begun[:1] or difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f" - perhaps you meant {close[0]!r}" if close else ""


def _has_odd_bytes(value: Any) -> bool:
    """Returns whether a text or path, or any of several, contains bytes that are not UTF-8."""
    if isinstance(value, tuple | list):
        return any(_has_odd_bytes(part) for part in value)
    return isinstance(value, str | Path) and any("\udc80" <= character <= "\udcff" for character in str(value))


def _without_odd_bytes(value: Any) -> Any:
    """Returns the value with `?` in place of each byte that is not UTF-8."""
    if isinstance(value, tuple | list):
        return tuple(_without_odd_bytes(part) for part in value)
    if not _has_odd_bytes(value):
        return value
    return type(value)(re.sub("[\udc80-\udcff]", "?", str(value)))


def _field_error(section: type[Section], error: ValidationError) -> FieldError:
    first = error.errors()[0]
    key = str(first["loc"][0]) if first["loc"] else ""
    name = section.__name__.lower()
    if first["type"] == "extra_forbidden":
        if RENAMED.get(key) in section.model_fields:
            return FieldError(name, key, f"unknown key: it is now called {RENAMED[key]!r}")
        return FieldError(name, key, f"unknown key{nearest(key, section.model_fields)}")
    problem = first["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    if first["type"] == "literal_error":
        problem += nearest(str(first["input"]), re.findall(r"'([^']*)'", problem))
    got = f", got {first['input']!r}" if first["type"] != "value_error" else ""
    return FieldError(name, key, problem + got)
