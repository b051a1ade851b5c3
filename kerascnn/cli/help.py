"""The text of `--help`, written from a command's schema. No TensorFlow.

Each flag has one entry: what it takes, what it does, its choices, bounds and default, each stated once. A command that takes
a whole config shows the common flags and its own; `--help-all` shows the other sections as well.
"""

import shutil
import textwrap
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from kerascnn.cli import flags
from kerascnn.config import Config
from kerascnn.config.section import Section, bounds

# Flags of every command, and those that `cli.parsing` reads beside a schema.
HELP, HELP_ALL = ("-h", "--help"), "--help-all"
CONFIG, PRINT_CONFIG = "--config", "--print-config"
# The flags that most command lines need, in the order of the help.
COMMON = (
    "--arch",
    "--dataset",
    "--folds",
    "--epochs",
    "--batch-size",
    "--lr",
    "--image-size",
    "--augment",
    "--weights",
    "--devices",
    "--run",
)
_COLUMN, _WIDEST, _LONGEST_CHOICES = 26, 100, 32
_METAVARS: dict[Any, str] = {int: "N", float: "X"}


@dataclass(frozen=True)
class FlagHelp:
    """A flag as the help shows it.

    Attributes:
        usage: The flag with what it takes, such as `--epochs N`.
        text: What it does.
        facts: Its bounds and default, which stay on one line where they fit.
    """

    usage: str
    text: str
    facts: str = ""

    def lines(self, width: int) -> list[str]:
        """Returns the entry in two columns; a long usage has a line of its own."""
        # textwrap breaks at ASCII spaces only.
        facts = f"[{self.facts}]".replace(" ", "\u00a0") if self.facts else ""
        wrapped = textwrap.wrap(f"{self.text} {facts}", width - _COLUMN, break_on_hyphens=False)
        wrapped = [line.replace("\u00a0", " ") for line in wrapped] or [""]
        left = f"  {self.usage}"
        first = [left.ljust(_COLUMN) + wrapped.pop(0)] if len(left) <= _COLUMN - 2 else [left]
        return [*first, *(" " * _COLUMN + line for line in wrapped)]


def asks_for_help(argv: Iterable[str]) -> bool:
    """Returns whether a command line asks for help."""
    return any(word in (*HELP, HELP_ALL) for word in argv)


def help_text(
    schema: type[Section],
    default: Section,
    *,
    prog: str,
    description: str,
    everything: bool = False,
    hidden: Collection[str] = (),
) -> str:
    """Returns the help of a command.

    Args:
        schema: The command's schema.
        default: The values of the fields that no flag sets.
        prog: The command's name.
        description: What the command does.
        everything: Whether all sections of a config are shown, or only the common flags of them.
        hidden: Flags of the schema that the command does not take.
    """
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    loose, sections = _fields(schema, default, hidden)
    names = [flag.name for flag, _, _ in loose if flag.positional]
    lines = [f"usage: {' '.join([prog, *names, '[OPTIONS]'])}", "", *textwrap.wrap(description, width)]
    for title, entries in _groups(schema, loose, sections, everything):
        if entries:
            lines += ["", *textwrap.wrap(title, width), *(line for entry in entries for line in entry.lines(width))]
    return "\n".join(lines)


# A flag, its field, and the field's default.
_Field = tuple[flags.Flag, FieldInfo, Any]


def _fields(
    schema: type[Section], default: Section, hidden: Collection[str]
) -> tuple[list[_Field], dict[str, list[_Field]]]:
    """Returns the fields of a schema, and those of each of its sections."""
    loose: list[_Field] = []
    sections: dict[str, list[_Field]] = {}
    for name, field in schema.model_fields.items():
        value = getattr(default, name)
        if isinstance(value, Section):
            sections[name], _ = _fields(type(value), value, hidden)
        elif (flag := flags.flag_of(name, field)).name not in hidden:
            loose.append((flag, field, value))
    return loose, sections


def _groups(
    schema: type[Section], loose: list[_Field], sections: dict[str, list[_Field]], everything: bool
) -> Iterable[tuple[str, list[FlagHelp]]]:
    yield "", [_entry(*field) for field in loose if field[0].positional]
    own = [FlagHelp("-h, --help", "show this help and exit")]
    if not issubclass(schema, Config):
        yield "options", [*(_entry(*field) for field in loose if not field[0].positional), *own]
        taken = {flag.name for flag, _, _ in loose}  # a command's own flag stands for one of the same name in a section
        for name, fields in sections.items():
            rest = [_entry(*field) for field in fields if field[0].name not in taken]
            yield f"{name} options: {_summary(schema, name)}", rest
        return
    common = {field[0].name: _entry(*field) for fields in sections.values() for field in fields}
    yield "common options", [common[name] for name in COMMON if name in common]
    for name, fields in sections.items():
        if everything or name not in Config.model_fields:
            rest = [_entry(*field) for field in fields if field[0].name not in COMMON]
            yield f"{name} options: {_summary(schema, name)}", rest
    first = [
        FlagHelp(f"{CONFIG} FILE", "start from a recipe (its file or name) or from a run's config.toml"),
        FlagHelp(PRINT_CONFIG, "print the merged config as TOML and exit"),
    ]
    last = FlagHelp(HELP_ALL, "show the options of all sections and exit")
    further = [_entry(*field) for field in loose if not field[0].positional]
    yield "further options (--no-x turns a switch --x off)", [*further, *first, *own, last]


def _summary(schema: type[Section], name: str) -> str:
    """Returns the first sentence of a section's docstring, as the end of a title."""
    sentence = (schema.model_fields[name].annotation.__doc__ or "").split("\n")[0].rstrip(".")
    return sentence[:1].lower() + sentence[1:]


def _entry(flag: flags.Flag, field: FieldInfo, value: Any) -> FlagHelp:
    choices = {
        kind: "{" + ",".join(map(str, get_args(kind))) + "}" for kind in flag.kinds if get_origin(kind) is Literal
    }
    long = [listed for listed in choices.values() if len(listed) > _LONGEST_CHOICES]
    metavars = [_metavar(kind, field, choices) for kind in flag.kinds]
    text = "; ".join(
        [
            field.description or "",
            *(f"{'any' if flag.many else 'one'} of {listed[1:-1].replace(',', ', ')}" for listed in long),
        ]
    )
    facts = [bounds(field), _default(flag, value)]
    if flag.positional:
        usage = flag.name
    elif flag.switch:
        usage = f"--[no-]{flag.name[2:]}" if value else flag.name
    else:
        usage = " ".join([flag.name, *metavars, *(["..."] if flag.many else [])])
    return FlagHelp(usage, text, "; ".join(fact for fact in facts if fact))


def _metavar(kind: Any, field: FieldInfo, choices: dict[Any, str]) -> str:
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "metavar" in extra:
        return str(extra["metavar"])
    listed = choices.get(kind, "")
    return listed if listed and len(listed) <= _LONGEST_CHOICES else _METAVARS.get(kind, "NAME")


def _default(flag: flags.Flag, value: Any) -> str:
    if flag.positional or value is None or value is False or value in ("", (), {}):
        return ""
    if value is True:
        return "default: on"
    values = value if isinstance(value, tuple) else (value,)
    return "default: " + " ".join(f"{one:g}" if isinstance(one, float) else str(one) for one in values)
