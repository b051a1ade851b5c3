"""Shell completion: the commands, their flags and the choices of these, as a script that shtab writes.

The script is fixed when it is written, so that completing a word starts no Python.
"""

import argparse
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import shtab

from kerascnn.architectures.tables import ARCHS
from kerascnn.archs import Archs
from kerascnn.auditing.audit_config import Audit
from kerascnn.averaging.soup_config import SoupConfig
from kerascnn.cli import flags
from kerascnn.comparison.compare_config import CompareConfig
from kerascnn.config.section import Section, nearest
from kerascnn.doctor import Doctor
from kerascnn.embed import Embed
from kerascnn.errors import UserError
from kerascnn.evaluation.evaluate_flags import Evaluate
from kerascnn.export import Export
from kerascnn.fit import FitFlags
from kerascnn.list import List
from kerascnn.neighbors import Neighbors
from kerascnn.predict import Predict
from kerascnn.push import Push
from kerascnn.runs import files
from kerascnn.search.tune_config import TuneConfig
from kerascnn.serving.serve_config import Serve
from kerascnn.speed.benchmark_config import BenchmarkConfig
from kerascnn.verifying.verify_config import VerifyConfig

# The flags of each command.
SCHEMAS: dict[str, type[Section]] = {
    "fit": FitFlags,
    "evaluate": Evaluate,
    "audit": Audit,
    "compare": CompareConfig,
    "list": List,
    "predict": Predict,
    "embed": Embed,
    "neighbors": Neighbors,
    "tune": TuneConfig,
    "export": Export,
    "soup": SoupConfig,
    "push": Push,
    "serve": Serve,
    "verify": VerifyConfig,
    "benchmark": BenchmarkConfig,
    "doctor": Doctor,
    "archs": Archs,
}
PROGRAM = "kerascnn"
EVERYWHERE = ("--help", "--help-all")
SHELLS = ("bash", "zsh", "fish")
RELOAD = "New terminals know it. After an upgrade of kerascnn, run this again."


def script(shell: str, descriptions: Mapping[str, str]) -> str:
    """Returns the completion script of a shell.

    Args:
        shell: One of `SHELLS`.
        descriptions: What each command does.

    Raises:
        UserError: A shell for which there is no script.
    """
    if shell not in SHELLS:
        given = shell or "an unknown shell"
        raise UserError(f"no completion for {given}{nearest(shell, SHELLS)}; expected one of {', '.join(SHELLS)}")
    return shtab.complete(_parser(descriptions), shell=shell)


def install(shell: str, descriptions: Mapping[str, str], variables: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Writes the completion script where the shell looks for it; yields lines that say what was done.

    Args:
        shell: One of `SHELLS`; "" for that of the variable SHELL.
        descriptions: What each command does.
        variables: Environment variables.

    Raises:
        UserError: A shell for which there is no script.
    """
    shell = shell or Path(variables.get("SHELL", "")).name
    text = script(shell, descriptions)
    file = place(shell, variables)
    file.parent.mkdir(parents=True, exist_ok=True)
    files.write_file(file, text.encode())
    yield f"wrote {file}"
    if shell == "bash":
        yield f"bash loads it by itself where the package bash-completion is installed; otherwise add to ~/.bashrc: . {file}"
    if shell == "zsh":
        yield f"add to ~/.zshrc, if it is not there: fpath=({file.parent} $fpath); autoload -U compinit; compinit"
    yield RELOAD


def place(shell: str, variables: Mapping[str, str]) -> Path:
    """Returns where a shell looks for the script of a program of this user."""
    home = Path(variables.get("HOME") or Path.home())
    data = Path(variables.get("XDG_DATA_HOME") or home / ".local/share")
    config = Path(variables.get("XDG_CONFIG_HOME") or home / ".config")
    return {
        "bash": Path(variables.get("BASH_COMPLETION_USER_DIR") or data / "bash-completion") / "completions" / PROGRAM,
        "zsh": data / "zsh/site-functions" / f"_{PROGRAM}",
        "fish": config / "fish/completions" / f"{PROGRAM}.fish",
    }[shell]


def _parser(descriptions: Mapping[str, str]) -> argparse.ArgumentParser:
    """Returns a parser that has all flags; it only describes them, and parses nothing."""
    parser = argparse.ArgumentParser(PROGRAM)
    parser.add_argument("--version", action="store_true", help="print the version")
    parser.add_argument("--install-completion", choices=SHELLS, help="complete commands and flags in this shell")
    commands = parser.add_subparsers(dest="command")
    for name, schema in SCHEMAS.items():
        about = descriptions[name].replace("%", "%%")
        below = commands.add_parser(name, help=about, description=about, add_help=False)
        for word in EVERYWHERE:
            below.add_argument(word, action="store_true", help="list the options")
        # A command's own field comes after that of the config with the same name, as in `flags.table`.
        for flag, text in {flag.name: (flag, text) for flag, text in _described(schema)}.values():
            _add(below, flag, text)
    return parser


def _described(schema: type[Section]) -> Iterator[tuple[flags.Flag, str]]:
    """Yields the flags of a schema and of its sections, each with its description."""
    for name, field in schema.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            yield from _described(inner)
        else:
            yield flags.flag_of(name, field), field.description or ""


def _add(parser: argparse.ArgumentParser, flag: flags.Flag, text: str) -> None:
    text = text.split(";")[0].split(":")[0].replace("%", "%%")
    if flag.switch:
        parser.add_argument(flag.name, f"--no-{flag.name[2:]}", action="store_true", help=text)
        return
    takes: dict[str, Any] = {"help": text, "choices": _choices(flag)}
    if flag.many or len(flag.kinds) > 1:
        takes["nargs"] = "*"
    if flag.positional:
        added = parser.add_argument(flag.field, **{**takes, "nargs": "*"})
    else:
        added = parser.add_argument(flag.name, **takes)
    if takes["choices"] is None and (flag.positional or Path in flag.kinds):
        added.complete = shtab.FILE  # type: ignore[attr-defined]


def _choices(flag: flags.Flag) -> list[str] | None:
    """Returns the values of a flag that takes one of a few, or the name of a network."""
    if flag.name in ("--arch", "--archs"):
        return list(ARCHS)
    kind = flag.kinds[0]
    return [str(choice) for choice in get_args(kind)] if get_origin(kind) is Literal else None
