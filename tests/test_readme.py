"""Every command in the README runs as written, with small overrides appended."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kerascnn.__main__ import main

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted({line.strip() for line in README.splitlines() if line.startswith("    python -m kerascnn.")})
SMALL = ["--epochs", "1", "--fraction", "0.02", "--width", "0.25"]


def photos(folder: Path) -> None:
    """Twelve photos of each of two classes, of mixed sizes."""
    rng = np.random.default_rng(0)
    for name, base in (("cats", 60), ("dogs", 180)):
        (folder / name).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(base - 40, base + 40, (70 + i, 90, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.jpg")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that commands call RUN."""
    folder = tmp_path_factory.mktemp("runs")
    assert main(["fit", "--no-export", "--run", "finished", "--runs-dir", str(folder), *SMALL]) == 0
    return folder / "finished"


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, request) -> None:
    words = shlex.split(command)[2:]
    overrides = [] if "--help" in words or "--print-config" in words else list(SMALL)
    monkeypatch.chdir(tmp_path)
    if words[0] in ("kerascnn.archs", "kerascnn.list"):
        overrides = []
    if words[0] == "kerascnn.compare":  # all of it but the training, which the slow tests of tests/comparison do
        overrides = ["--dry-run", "--match", "none", "--fraction", "0.02", "--width", "0.25"]
    if words[0] == "kerascnn.tune":
        overrides = ["--epochs", "2", "--fraction", "0.02", "--trials", "2", "--tuner", "random"]
    if words[0] == "kerascnn.benchmark":
        overrides = ["--archs", "resnet20", "--width", "0.25", "--rounds", "3", "--seconds", "0.01", "--parts", "train"]
    if "RUN" in words:
        run = request.getfixturevalue("finished")
        words = [str(run) if word == "RUN" else word for word in words]
        overrides = ["--most", "10"] if words[0] == "kerascnn.evaluate" else []
    if "photos" in words:
        photos(tmp_path / "photos")
        overrides = [
            "--epochs",
            "1",
            "--arch",
            "resnet18",
            "--width",
            "0.125",
            "--image-size",
            "72",
            "--batch-size",
            "4",
        ]
    if words[0] == "kerascnn.predict":
        overrides = []
    if "--weights" in words:
        overrides = ["--batch-size", "4", "--epochs", "2", "--head-epochs", "1"]  # the network is RUN's
    if "tfds:cifar10" in words:
        (tmp_path / "data").symlink_to(request.getfixturevalue("shared_data") / "tfds")
        overrides = ["--dataset", "tfds:cifar10[:2%]", "--epochs", "1", "--fraction", "0.1", "--width", "0.25"]
    code = main([words[0].removeprefix("kerascnn."), *words[1:], *overrides])
    out = capsys.readouterr().out
    assert code == 0, out
    if words[0] == "kerascnn.compare":
        assert "measure inference" in out
        assert main(["compare", *words[1:], *overrides]) == 0
        again = capsys.readouterr().out
        assert "solved  earlier" in again
        assert "measure" not in again.replace("what was measured", ""), "a dry run keeps what it measured"
        plans = [[line for line in shown.splitlines() if line.startswith(" " * 12)] for shown in (out, again)]
        assert plans[0] == plans[1]
    elif words[0] == "kerascnn.tune":
        assert "in all      6 epochs" in out
    elif "--epochs" in overrides:
        assert re.search(r"test accuracy \d+\.\d\d%  \[.*\] \(95 %, n = [\d]+ images, 1 seed\)", out)
        assert list(tmp_path.glob("saved_models/*/1/saved_model.pb"))


def test_the_library_example_runs_and_its_file_opens_in_a_new_process(tmp_path: Path) -> None:
    code = re.search(r"```python\n(.*?)```", README, re.S)
    assert code
    subprocess.run([sys.executable, "-c", code[1]], cwd=tmp_path, check=True, capture_output=True)
    reload = "import keras, kerascnn.layers; print(keras.models.load_model('mine.keras').output_shape)"
    out = subprocess.run(
        [sys.executable, "-c", reload], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    assert out.strip() == "(None, 10)"


def test_shell_completion_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--tyro-print-completion", "bash"]) == 0
    assert "--batch-size" in capsys.readouterr().out
