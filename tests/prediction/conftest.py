"""A network, photos, and what one undisturbed process predicts of them."""

from pathlib import Path

import pytest

from kerascnn import predict
from kerascnn.errors import DONE
from kerascnn.runs import Run
from tests.artefacts import networks
from tests.data import odd_files

NAMES = ("ant", "bee, big", "cat", "dog", "eel", "fox", "gnu")
BROKEN = {4: b"", 9: b"<html>404</html>"}


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return networks.predicting(tmp_path_factory.mktemp("runs") / "tiny", NAMES)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fourteen files, two of them broken."""
    folder = tmp_path_factory.mktemp("photos")
    for i in range(14):
        content = BROKEN.get(i, odd_files.encode(odd_files.photo(40 + i, 60 - i), "JPEG"))
        (folder / f"{i}.jpg").write_bytes(content)
    return folder


@pytest.fixture(scope="session")
def single(run: Run, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one process that was not disturbed, joined."""
    folder = tmp_path_factory.mktemp("single") / "out"
    assert predict.main([*words(run, folder), str(photos)]) == DONE
    assert predict.main(["--merge", str(folder)]) == DONE
    return folder


def words(run: Run, folder: Path, *further: str) -> list[str]:
    flags = ["--output", str(folder), "--part", "3", "--top", "2", "--batch-size", "2"]
    return [str(run.path), *flags, *further]
