"""The flags of a command's schema, and messages for words that are not valid. No TensorFlow.

tyro reads the flags, but its errors are boxes of many lines about Python types. `check` finds the same mistakes first, in the
order in which they were typed, and reports each in one sentence.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import tyro
from pydantic.fields import FieldInfo

from kerascnn.config.section import Section, nearest
from kerascnn.errors import UserError

_NUMBER = re.compile(r"-(\d|\.\d|inf|nan)")
_NOUNS: dict[Any, str] = {int: "a whole number", float: "a number", str: "a word", Path: "a path"}


@dataclass(frozen=True)
class Flag:
    """A field as a flag of the command line.

    Attributes:
        field: The field's name.
        name: `--name`, or the name of a positional argument in the help.
        kinds: The types of its values: one for each value, repeated if `many`.
        many: Whether it takes any number of values of these kinds.
        switch: Whether it takes no value: `--name` or `--no-name`.
        positional: Whether it is a positional argument.
        optional: Whether None is a valid value.
    """

    field: str
    name: str
    kinds: tuple[Any, ...]
    many: bool
    switch: bool
    positional: bool
    optional: bool

    def problem(self, words: Sequence[str]) -> str:
        """Returns what is wrong with the words after the flag, or an empty text."""
        if self.optional and list(words) == ["None"]:
            return ""
        if self.switch:
            return f"takes no value, got {words[0]!r}" if words else ""
        count = len(self.kinds)
        if len(words) < count or (self.many and len(words) % count):
            return f"expected {self._expected()} after it, got {' '.join(words) or 'nothing'}"
        if not self.many and len(words) > count:
            return f"expected {self._expected()}, got {' '.join(words)}"
        for i, word in enumerate(words):
            if wrong := _misfit(self.kinds[i % count], word):
                return wrong
        return ""

    def _expected(self) -> str:
        said = " and ".join(_noun(kind) for kind in self.kinds)
        return f"pairs of {said}" if self.many and len(self.kinds) > 1 else said


def table(schema: type[Section]) -> dict[str, Flag]:
    """Returns the flags of a schema and of its sections by name."""
    found: dict[str, Flag] = {}
    for name, field in schema.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            found |= table(inner)
        else:
            one = flag_of(name, field)
            found[one.name] = one
    return found


def check(schema: type[Section], argv: Sequence[str], further: Iterable[str] = ()) -> None:
    """Checks that the schema's flags take all words of `argv`.

    Args:
        schema: A command's schema.
        argv: The words of the command line.
        further: Names of other flags, for the message about a misspelled flag.

    Raises:
        UserError: The message about the first wrong word: what was expected, what was given, and the most similar flag.
    """
    flags = table(schema)
    positional = [flag for flag in flags.values() if flag.positional]
    loose: list[str] = []
    for name, words in _grouped(argv):
        flag = _named(flags, name)
        if name and flag is None:
            raise UserError(f"unknown flag {name}{_meant(name, [*_names(flags.values()), *further])}")
        if flag is None:
            loose += words
            continue
        own = words if flag.many or not positional else words[: 0 if flag.switch else len(flag.kinds)]
        if problem := flag.problem(own):
            raise UserError(f"{name}: {problem}")
        loose += words[len(own) :]
    for flag in positional:
        mine, loose = (loose, []) if flag.many else (loose[:1], loose[1:])
        if mine and (problem := flag.problem(mine)):
            raise UserError(f"{flag.name}: {problem}")
    if loose:
        expected = " ".join(flag.name for flag in positional)
        raise UserError(f"{loose[0]!r}: expected {f'{expected} and flags' if expected else 'flags'} only")


def given(schema: type[Section], argv: Sequence[str]) -> set[str]:
    """Returns the names of the fields that flags in `argv` set."""
    flags = table(schema)
    named = (_named(flags, name) for name, _ in _grouped(argv) if name)
    return {flag.field for flag in named if flag is not None}


def words(section: Section, default: Section) -> list[str]:
    """Returns the words that set the values in which `section` differs from `default`, to be quoted by the caller."""
    found: list[str] = []
    for name, field in type(section).model_fields.items():
        value, usual = getattr(section, name), getattr(default, name)
        if isinstance(value, Section):
            found += words(value, usual)
        elif value != usual and value is not None:
            found += _spelt(flag_of(name, field), value)
    return found


def _spelt(flag: Flag, value: Any) -> list[str]:
    if flag.switch:
        return [flag.name if value else f"--no-{flag.name[2:]}"]
    if isinstance(value, dict):
        value = [part for pair in value.items() for part in pair]
    many = isinstance(value, list | tuple)
    return [flag.name, *map(str, value if many else [value])]


def flag_of(name: str, field: FieldInfo) -> Flag:
    """Returns the flag of a schema's field."""
    positional, shown = False, "--" + name.replace("_", "-")
    for mark in field.metadata:
        positional = positional or mark is tyro.conf.Positional
        shown = f"--{mark.name}" if getattr(mark, "name", None) else shown
        if positional and getattr(mark, "metavar", None):
            shown = mark.metavar
    kind, optional = _without_none(field.annotation)
    origin, inner = get_origin(kind), tuple(_bare(arg) for arg in get_args(kind))
    if origin is tuple and inner[-1] is Ellipsis:
        return Flag(name, shown, inner[:1], True, False, positional, optional)
    if origin is tuple:
        return Flag(name, shown, inner, False, False, positional, optional)
    if origin is dict:
        return Flag(name, shown, inner, True, False, positional, optional)
    return Flag(name, shown, (kind,), False, kind is bool, positional, optional)


def _without_none(kind: Any) -> tuple[Any, bool]:
    kind = _bare(kind)
    if get_origin(kind) in (Union, UnionType):
        rest = [_bare(arg) for arg in get_args(kind) if arg is not NoneType]
        return (rest[0] if len(rest) == 1 else str), NoneType in get_args(kind)
    return kind, False


def _bare(kind: Any) -> Any:
    """Returns a type without its annotations."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _grouped(argv: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yields (flag, the words after it); the words before the first flag have an empty name."""
    name = ""
    words: list[str] = []
    for word in argv:
        if word.startswith("-") and word != "-" and not _NUMBER.match(word):
            if name or words:
                yield name, words
            name, equals, value = word.partition("=")
            words = [value] if equals else []
        else:
            words.append(word)
    if name or words:
        yield name, words


def _named(flags: dict[str, Flag], name: str) -> Flag | None:
    name = name.replace("_", "-")
    found = flags.get(name)
    if found is None and name.startswith("--no-"):
        found = flags.get("--" + name.removeprefix("--no-"))
        found = found if found is not None and found.switch else None
    return found


def _names(flags: Iterable[Flag]) -> list[str]:
    """Returns every spelling of the flags."""
    named = [flag for flag in flags if not flag.positional]
    return [flag.name for flag in named] + [f"--no-{flag.name[2:]}" for flag in named if flag.switch]


def _meant(name: str, known: Sequence[str]) -> str:
    """Returns a hint with the flags that a misspelled one is the beginning of, else with the most similar flag."""
    plain = "--" + name.strip("-").replace("_", "-")
    begun = [flag for flag in known if flag.startswith(plain)] if len(plain) > 3 else []
    near = begun[:4] or difflib.get_close_matches(plain, known, n=1, cutoff=0.6)
    return f" - perhaps you meant {' or '.join(near)}" if near else ""


def _misfit(kind: Any, word: str) -> str:
    """Returns why a word is not of a type, or an empty text."""
    if get_origin(kind) is Literal:
        allowed = [str(choice) for choice in get_args(kind)]
        return "" if word in allowed else f"{word!r} is none of {', '.join(allowed)}{nearest(word, allowed)}"
    if kind in (int, float):
        try:
            kind(word)
        except ValueError:
            return f"expected {_noun(kind)}, got {word!r}"
    return ""


def _noun(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    return _NOUNS.get(kind, "a value")
