"""The notebooks run, with small values for their parameters; they hold the output of a run."""

import re
from pathlib import Path

import pytest

from tests.pages import ROOT

NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))
# What a command says that fails, a trace, a failed answer of the server, and notes of TensorFlow, which are not for readers.
WRONG = re.compile(r'^kerascnn: |Traceback|"error": (?!null)|^[EWI]0000 ', re.M)
SMALL = {"IMAGES": 20, "EPOCHS": 1, "SEEDS": 2}


def read(file: Path):
    """The notebook, or a skip where its library is not installed."""
    return pytest.importorskip("nbformat", reason="needs the extra docs").read(file, as_version=4)


def said(cells) -> str:
    """What the code has written."""
    return "".join(output.get("text", "") for cell in cells for output in cell.outputs)


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_is_valid_and_was_run(file: Path) -> None:
    notebook = read(file)
    pytest.importorskip("nbformat").validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    assert sum(len(cell.outputs) for cell in cells) >= 3
    assert WRONG.findall(said(cells)) == []
    assert file.stat().st_size < 500_000


@pytest.mark.slow
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_runs(file: Path, tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient", reason="needs the extra docs")
    pytest.importorskip("ipykernel", reason="needs the extra docs")
    notebook = read(file)
    (parameters,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    for name, value in SMALL.items():
        parameters.source = re.sub(rf"^{name} = \d+", f"{name} = {value}", parameters.source, flags=re.M)
    nbclient.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert "test accuracy" in said(cells)
    assert WRONG.findall(said(cells)) == []
