"""The architecture is a test: imports point down only (DESIGN). Plain ast, no TensorFlow."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "kerascnn"

# Lower rows know nothing of higher ones; modules of one row do not import each other, those of one sub-package may.
ROWS = (
    {"errors", "streams"},
    {"config"},
    {"progress", "escaping", "ambient"},
    {"screen", "files", "devices", "flags", "rates"},
    {"command", "scratch"},
    {"cli"},
    {"layers"},
    {"checkpoints", "stopping"},
    {
        "models",
        "data",
        "optim",
        "metrics",
        "callbacks",
        "tensorboard",
        "cost",
        "matching",
        "timing",
        "statistics",
        "distribute",
        "runs",
    },
    {"scoring", "artefacts", "explain", "preflight"},
    {"report"},
    {"training"},
    {"comparison", "evaluation", "prediction", "search", "speed"},
    {
        "fit",
        "evaluate",
        "compare",
        "tune",
        "export",
        "predict",
        "benchmark",
        "audit",
        "prepare",
        "verify_resume",
        "archs",
        "list",
    },
    {"__main__"},
    {"__init__"},
)
RANK = {name: rank for rank, row in enumerate(ROWS) for name in row}


def room(path: Path) -> str:
    """The module or sub-package of the package that a file belongs to."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    """Rooms of the package that a file imports, also inside functions."""
    rooms: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: a relative import"
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names]
                if node.module == "kerascnn"
                else [node.module or ""]
            )
        else:
            continue
        rooms |= {name.split(".")[1] for name in names if name.startswith("kerascnn.")}
    return rooms


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    here = room(path)
    assert here in RANK, f"{here} has no row: where does it belong?"
    for target in imported_rooms(path) - {here}:
        assert RANK[target] < RANK[here], f"{here} imports {target}, which does not lie below it"


def test_no_drawers() -> None:
    names = {path.name for path in PACKAGE.rglob("*.py")}
    assert not names & {"utils.py", "common.py", "helpers.py", "base.py"}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_never_tf_keras(path: Path) -> None:
    assert "tf.keras" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "module",
    [
        "kerascnn",
        "kerascnn.__main__",
        "kerascnn.cli",
        "kerascnn.runs",
        "kerascnn.architectures.tables",
        "kerascnn.fit",
        "kerascnn.compare",
    ],
)
def test_light_modules_load_no_tensorflow(module: str) -> None:
    code = f"import sys, {module}; print(sorted(set(sys.modules) & {{'tensorflow', 'keras', 'matplotlib', 'scipy'}}))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
