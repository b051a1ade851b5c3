"""Searches and cross-validations on Ray and on Slurm end as they do here."""

import contextlib
import csv
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.studies import slurm_node
from tests.studies.test_local import weights

pytestmark = [pytest.mark.slow, pytest.mark.training, pytest.mark.timeout(1800)]
# fmt: off
TINY = ["--fraction", "0.02", "--image-size", "16", "--batch-size", "16", "--dtype", "float32", "--checkpoint-every", "2"]
COMMANDS = {
    "tune": [*TINY, "--arch", "resnet", "--space", "resnet_filters", "--max-macs", "2e6", "--trials", "3", "--tuner", "hyperband",
             "--epochs", "3", "--name", "small"],
    "fit": [*TINY, "--arch", "resnet20", "--width", "0.25", "--blocks", "1", "1", "1", "--folds", "2", "--epochs", "2",
            "--run", "small", "--no-export"],
}
# fmt: on


@contextlib.contextmanager
def cluster(kind: str, folder: Path) -> Iterator[dict[str, str]]:
    """The variables with which a command finds the cluster."""
    if kind == "ray":
        pytest.importorskip("ray", reason="needs the extra ray")
        (folder / "home").mkdir()
        yield {"HOME": str(folder / "home")}  # Ray writes a token there
        return
    pytest.importorskip("submitit", reason="needs the extra slurm")
    if slurm_node.missing():
        pytest.skip(slurm_node.missing())
    with slurm_node.slurm(folder / "slurm") as variables:
        yield variables


def ended(folder: Path, command: str, variables: dict[str, str], *words: str) -> list[Path]:
    """The runs that a command leaves in a folder of its own."""
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", f"kerascnn.{command}", *COMMANDS[command], *words],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return sorted(path.parent for path in folder.glob("experiments/**/history.csv"))


def history(run: Path) -> list[dict[str, str]]:
    """The rows without what the clock says."""
    with (run / "history.csv").open(newline="", encoding="utf-8") as file:
        return [{k: v for k, v in row.items() if not re.search("second|wait", k)} for row in csv.DictReader(file)]


@pytest.mark.parametrize("kind", ["ray", "slurm"])
@pytest.mark.parametrize("command", list(COMMANDS))
def test_they_end_as_here(command: str, kind: str, tmp_path: Path) -> None:
    here = ended(tmp_path / "here", command, {})
    with cluster(kind, tmp_path) as variables:
        there = ended(tmp_path / "there", command, variables, "--executor", kind, "--workers", "2")
    assert [run.relative_to(tmp_path / "here") for run in here] == [
        run.relative_to(tmp_path / "there") for run in there
    ]
    assert len(here) == (4 if command == "tune" else 2)
    for one, other in zip(here, there, strict=True):
        assert history(one) == history(other)
        assert weights(one) == weights(other)
