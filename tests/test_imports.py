"""The architecture is a test: imports point down only. Plain ast, no TensorFlow."""

import ast
import json
import subprocess
import sys
from pathlib import Path

from tests.sources import FILES, PACKAGE, name, nodes

# From the ground up; rooms of one floor do not import each other. `runs` lies below `data`, which writes with `runs.files`.
# The rows of scores lie below `config`, whose choices and help name them; the rest of `scoring` stands where it has its data.
FLOORS = (
    {"errors", "compat"},
    {"statistics"},
    {"scoring.measures"},
    {"scoring.metrics"},
    {"scoring.label_metrics"},
    {"scoring.task"},
    {"config"},
    {"architectures"},
    {"cli"},
    {"devices", "processes"},
    {"runs"},
    {"data", "layers"},
    {"models"},
    {"weights"},
    {"scoring.predictions"},
    {"scoring.prediction_sets"},
    {"artefacts"},
    {"scoring"},
    {"report"},
    {"tracking"},
    {"training"},
    {"evaluation", "outside"},
    {"studies"},
    {
        "auditing",
        "averaging",
        "comparison",
        "cross_validation",
        "prediction",
        "publishing",
        "search",
        "serving",
        "speed",
        "verifying",
    },
    {"diagnosis"},
    {
        "fit",
        "verify",
        "evaluate",
        "compare",
        "tune",
        "export",
        "predict",
        "benchmark",
        "archs",
        "list",
        "audit",
        "serve",
        "push",
        "doctor",
        "embed",
        "neighbors",
        "soup",
    },
    {"completion"},
    {"__main__"},
    {"__init__"},
)
RANK = {name: rank for rank, floor in enumerate(FLOORS) for name in floor}


def room(path: Path) -> str:
    """The module or sub-package of the package that a file belongs to."""
    return room_of(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))


def room_of(module: str) -> str:
    """The same of a module by its dotted name."""
    below = module.split(".")[1:]
    return ".".join(below[:2]) if ".".join(below[:2]) in RANK else below[0]


def imported_rooms(path: Path) -> set[str]:
    """Rooms of the package that a file imports, also inside functions."""
    rooms: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        rooms |= {room_of(name) for name in names if name.startswith("kerascnn.")}
    return rooms


def test_every_room_has_a_floor() -> None:
    homeless = [name(path) for path in FILES if room(path) not in RANK]
    assert not homeless, f"no row in FLOORS: where do they belong? {homeless}"


def test_imports_point_down() -> None:
    upwards = [
        f"{name(path)} imports {target}, which does not lie below it"
        for path in FILES
        for target in imported_rooms(path) - {room(path)}
        if RANK[target] >= RANK[room(path)]
    ]
    assert not upwards, "\n".join(upwards)


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in FILES:
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imported_modules(path: Path, known: dict[str, Path]) -> set[str]:
    """Modules of the package that a file imports when it runs, also inside functions; not those that only types need."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found.update(name if name in known else node.module for name in whole)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(nodes(path)[0])
    return found & known.keys()


def test_no_circles() -> None:
    """Also none within a package."""
    known = modules()
    left = {module: imported_modules(path, known) - {module} for module, path in known.items()}
    while free := [module for module, imports in left.items() if not imports & left.keys()]:
        for module in free:
            del left[module]
    assert not left, f"import each other: {sorted(left)}"


def test_a_class_name_means_one_thing() -> None:
    found: dict[str, list[str]] = {}
    for path in FILES:
        for node in nodes(path):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(name(path))
    twice = {name: places for name, places in found.items() if len(places) > 1}
    assert not twice, f"one name, several classes: {twice}"


def test_no_drawers() -> None:
    names = {path.name for path in FILES}
    assert not names & {"utils.py", "common.py", "helpers.py", "base.py"}


def test_never_tf_keras() -> None:
    assert not [name(path) for path in FILES if "tf.keras" in path.read_text(encoding="utf-8")]


LIGHT = (
    "kerascnn",
    "kerascnn.__main__",
    "kerascnn.cli.parsing",
    "kerascnn.runs",
    "kerascnn.scoring.metrics",
    "kerascnn.architectures.tables",
    "kerascnn.fit",
    "kerascnn.compare",
    "kerascnn.audit",
    "kerascnn.studies.study_directory",
    "kerascnn.studies.executors.local",
)


def test_light_modules_load_no_tensorflow() -> None:
    """One after the other in one process: the first that is named loads it."""
    code = (
        "import importlib, json, sys; heavy = {'tensorflow', 'keras', 'matplotlib', 'scipy'};"
        "found = {name: importlib.import_module(name) and sorted(heavy & {*sys.modules}) for name in sys.argv[1:]};"
        "print(json.dumps(found))"
    )
    out = subprocess.run([sys.executable, "-c", code, *LIGHT], capture_output=True, text=True, check=True)
    assert json.loads(out.stdout) == {name: [] for name in LIGHT}
