"""The package's own source files, each parsed once for all tests that read them."""

import ast
import functools
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "kerascnn"
FILES = sorted(PACKAGE.rglob("*.py"))


def name(path: Path) -> str:
    """A file's place in the package, as messages name it."""
    return path.relative_to(PACKAGE).as_posix()


@functools.cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Every node of a file's syntax tree, the module first."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
