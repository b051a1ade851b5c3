"""Networks that are not rows of `tables`: a function in a Python file, or one of keras.applications. No TensorFlow here.

    FILE.py:FUNCTION     a function of the input shape and the number of classes that returns a Keras model
    keras:NAME           a network of keras.applications

Nothing here imports the file or Keras: names and arguments are read from their source.
"""

import ast
import functools
import hashlib
import importlib.util
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from kerascnn.architectures.shape import PUBLISHED, SHAPE
from kerascnn.errors import UserError

KERAS, SUFFIX = "keras:", ".py"
# Follows FILE.py:FUNCTION in a resolved config: the digest of the file's content, which is part of a run's identity.
PIN = "#sha256="
# Options of a config -> the arguments of a function that may take them, the first of which is used.
ARGUMENTS = {
    "width": ("width", "alpha"),
    "dropout": ("dropout", "dropout_rate"),
    "drop_path": ("drop_path", "drop_path_rate"),
}
OPTIONS: dict[str, Any] = {"width": 1.0, "dropout": None, "drop_path": 0.0}  # their defaults
# Options that change the description of a network, which these networks do not have, with their defaults.
_DESCRIBED: dict[str, Any] = {
    **{name: getattr(PUBLISHED, name) for name in SHAPE if name != "width"},
    "zero_init_residual": False,
    "whiten": False,
    "drop_block": 0.0,
    "aux_weight": None,
}


@dataclass(frozen=True)
class OwnArch:
    """An arch that is a function.

    Attributes:
        file: The file that defines it as it was given, or None for keras.applications.
        function: Its name.
        pin: sha256 of the file's content in hex, or an empty text where it is not yet known.
    """

    file: str | None
    function: str
    pin: str = ""

    @property
    def name(self) -> str:
        """The arch without folder and digest: `net.py:build` or `keras:NAME`."""
        return f"{KERAS}{self.function}" if self.file is None else f"{Path(self.file).name}:{self.function}"

    @property
    def path(self) -> Path:
        """The file that defines it."""
        return _applications()[self.function] if self.file is None else Path(self.file).expanduser()


def parse(arch: str) -> OwnArch | None:
    """Returns the function of an arch, or None for a name of `tables`."""
    if arch.startswith(KERAS):
        return OwnArch(None, arch.removeprefix(KERAS))
    place, _, pin = arch.partition(PIN)
    file, _, function = place.rpartition(":")
    if file.endswith(SUFFIX):
        return OwnArch(file, function, pin)
    return OwnArch(place, "", pin) if place.endswith(SUFFIX) else None


def shown(arch: str) -> str:
    """Returns an arch as it is shown: without folder and digest."""
    found = parse(arch)
    return found.name if found else arch


def placeless(arch: str) -> str:
    """Returns a resolved arch without the folder of its file."""
    found = parse(arch)
    return f"{found.name}{PIN}{found.pin}" if found and found.pin else arch


def content(arch: str) -> str:
    """Returns an arch as it counts in a run's identity: by the content of its file, not by the file's place."""
    found = parse(arch)
    return f"{found.function}{PIN}{found.pin}" if found and found.pin else arch


def pinned(arch: str) -> str:
    """Returns an arch with the digest of its file; an arch that has one, or needs none, stays.

    Raises:
        UserError: The file cannot be read.
    """
    found = parse(arch)
    if found is None or found.file is None or found.pin:
        return arch
    return f"{arch}{PIN}{digest(_read(found.path, arch))}"


def digest(source: bytes) -> str:
    """Returns the sha256 of a file's content in hex."""
    return hashlib.sha256(source).hexdigest()


def check(arch: OwnArch) -> None:
    """Checks that the function exists, as far as its source tells.

    Raises:
        UserError: There is no such file, function or network; names the most similar.
    """
    if arch.file is None:
        if arch.function not in _applications():
            raise UserError(f"--arch {arch.name}: keras.applications has no such network{_near(arch.function)}")
        return
    if arch.pin and not arch.path.is_file():  # a run keeps a copy of its file
        return
    known = _defined(arch)
    if arch.function not in known:
        functions = ", ".join(f"{arch.file}:{name}" for name, kind in known.items() if kind is not None)
        there = f"it has {functions}" if functions else "it defines no function"
        asked = f"no function {arch.function!r}" if arch.function else "no function is named"
        raise UserError(f"--arch {arch.name}: {asked} in {arch.file}: {there}")


def takes(arch: OwnArch, option: str) -> str | None:
    """Returns the argument of the function that takes an option of `ARGUMENTS`, or None."""
    if arch.pin and not arch.path.is_file():
        return None
    arguments = _defined(arch).get(arch.function) or ()
    return next((name for name in ARGUMENTS[option] if name in arguments), None)


def check_options(arch: OwnArch, section: Any) -> None:
    """Checks that the model section of a config has no option that the function cannot take.

    Raises:
        UserError: It has; names the flag.
    """
    given = [name for name, default in _DESCRIBED.items() if getattr(section, name) != default]
    if given:
        flag = f"--{given[0].replace('_', '-')}"
        raise UserError(f"{flag}: {arch.name} is built by its own function, which has no such option")
    if arch.pin and not arch.path.is_file():
        return
    for name in options(section):
        if takes(arch, name) is None:
            names = " or ".join(ARGUMENTS[name])
            raise UserError(f"--{name.replace('_', '-')}: {arch.name} takes no argument {names}")


def options(section: Any) -> dict[str, float]:
    """Returns the options of a config's model section that are passed on to a function."""
    return {name: getattr(section, name) for name, value in OPTIONS.items() if getattr(section, name) != value}


def networks() -> tuple[str, ...]:
    """Returns the names of the networks of keras.applications."""
    return tuple(sorted(_applications()))


def _read(path: Path, arch: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"--arch {shown(arch)}: cannot read {path}: {error.strerror}") from None


def _near(name: str) -> str:
    lower = {known.lower(): known for known in networks()}
    near = [lower[found] for found in get_close_matches(name.lower(), list(lower), n=3, cutoff=0.4)]
    return (
        f"; perhaps you meant {' or '.join(KERAS + one for one in near)}" if near else " (`kerascnn archs 'keras:*'`)"
    )


def _defined(arch: OwnArch) -> dict[str, tuple[str, ...] | None]:
    """Returns the names at the top level of a file; functions with their arguments, others with None."""
    try:
        tree = ast.parse(_read(arch.path, arch.name))
    except (SyntaxError, ValueError) as error:
        raise UserError(f"--arch {arch.name}: {arch.path} is not Python: {error}") from None
    return _names(tree)


def _names(tree: ast.Module) -> dict[str, tuple[str, ...] | None]:
    found: dict[str, tuple[str, ...] | None] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            found[node.name] = tuple(argument.arg for argument in arguments)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name.partition(".")[0]: None for alias in node.names}
        elif isinstance(node, ast.Assign):
            found |= {target.id: None for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.ClassDef):
            found[node.name] = None
    return found


@functools.cache
def _applications() -> dict[str, Path]:
    """Returns the networks of keras.applications, with the files that define them.

    They are read from the text of the installed package: importing it takes seconds and starts TensorFlow.
    """
    spec = importlib.util.find_spec("keras")
    if spec is None or spec.origin is None:
        raise UserError(f"{KERAS}NAME needs keras, which is not installed")
    home = Path(spec.origin).parent
    tree = ast.parse((home / "applications" / "__init__.py").read_text(encoding="utf-8"))
    found: dict[str, Path] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("keras.src.applications."):
            path = home.parent.joinpath(*node.module.split(".")).with_suffix(SUFFIX)
            found |= {alias.asname or alias.name: path for alias in node.names}
    return found
