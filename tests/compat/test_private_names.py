"""Private names of other libraries stand in kerascnn/compat alone."""

import ast
from pathlib import Path

from tests.sources import nodes

ROOT = Path(__file__).resolve().parents[2]
COMPAT = ROOT / "kerascnn" / "compat"
FILES = sorted(
    path
    for folder in ("kerascnn", "examples", "experiments")
    for path in (ROOT / folder).rglob("*.py")
    if not path.is_relative_to(COMPAT)
)
PRIVATE = ("tensorflow.python", "keras.src", "keras_tuner.src", "keras_tuner.engine", "tensorboard.", "pydantic_core")
LIBRARIES = ("keras", "keras_tuner", "matplotlib", "numpy", "pydantic", "rich", "tensorboard", "tensorflow", "tyro")


def imported(path: Path) -> set[str]:
    """The dotted names that a file imports, also inside functions."""
    names: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def is_private(name: str) -> bool:
    first, *rest = name.split(".")
    below = any(part.startswith("_") for part in rest)
    return first in LIBRARIES and (name.startswith(PRIVATE) or below)


def test_no_private_module_is_imported() -> None:
    found = [f"{path.relative_to(ROOT)}: {name}" for path in FILES for name in imported(path) if is_private(name)]
    assert not found, "\n".join(["these belong into kerascnn/compat, with a canary in tests/compat:", *sorted(found)])


def own_names() -> set[str]:
    """Every name that the package itself defines or assigns."""
    found: set[str] = set()
    for path in (ROOT / "kerascnn").rglob("*.py"):
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.attr if isinstance(node, ast.Attribute) else node.id)
    return found


# Public although they begin with an underscore: the methods of named tuples, and leaving a process at once.
DOCUMENTED = {"_asdict", "_replace", "_fields", "_make", "_exit"}


def test_no_private_attribute_of_others_is_used() -> None:
    """Every attribute `x._name` in the package is one that the package defines."""
    known = own_names() | DOCUMENTED
    strangers = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
        for path in FILES
        if path.is_relative_to(ROOT / "kerascnn")
        for node in nodes(path)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and node.attr not in known
    ]
    assert not strangers, "\n".join(["these belong into kerascnn/compat:", *strangers])
