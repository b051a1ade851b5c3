"""Every kerascnn command of the README and of docs/ runs as written but for small overrides.

What trains or measures stands in the default suite where it is a newcomer's: on the README and on the page of the first
steps. The trainings, searches and benchmarks of other pages are slow tests: what they show is also tested where it is made.
"""

import re
import shlex
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kerascnn.__main__ import main
from kerascnn.comparison import network_costs
from tests import several
from tests.data import make_shards
from tests.pages import OURS, ROOT, TEXTS, typed

SMALL = ["--epochs", "1", "--fraction", "0.02", "--width", "0.25"]
SHALLOW = ["--blocks", "1", "1", "1"]  # of resnet20, which resnet means for the embedded images
SMALL_PHOTOS = [
    *("--epochs", "1", "--arch", "resnet18", "--blocks", "1", "1", "1", "1", "--width", "0.125"),
    *("--image-size", "72", "--batch-size", "4"),
]
SMALLEST = [
    *("--epochs", "1", "--arch", "resnet20", "--blocks", "1", "1", "1", "--width", "0.25"),
    *("--image-size", "16", "--batch-size", "4"),
]
TYPED = sorted({line for text in TEXTS.values() for line in typed(text) if OURS.fullmatch(line)})
FIRST = {line for page in ("README.md", "docs/first-steps.md") for line in typed(TEXTS[page])}


def of_all_folds(line: str) -> bool:
    """Whether a command trains a run for each fold."""
    return line.startswith("python -m kerascnn.fit") and "--folds" in line and "--fold " not in line


def slow_if(line: str) -> list[pytest.MarkDecorator]:
    """A mark for what trains, compares, searches, measures or publishes, but for a newcomer's commands."""
    long = (
        re.match(r"python -m kerascnn\.(fit|compare|tune|benchmark|evaluate|verify|soup|push) ", line)
        and line not in FIRST
    )
    looks = "--help" in line or "--print-config" in line
    return [pytest.mark.slow] if of_all_folds(line) or (long and not looks) else []


def photos(folder: Path) -> None:
    """Twelve photos of each of two classes, of mixed sizes."""
    rng = np.random.default_rng(0)
    for name, base in (("cats", 60), ("dogs", 180)):
        (folder / name).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(base - 40, base + 40, (70 + i, 90, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.jpg")


def as_another_source(form: str, place: Path) -> None:
    """The same photos as photos/*.tar, photos/*.tfrecord, photos.npz or a folder that the library of Hugging Face reads."""
    photos(place / ("photos" if form == "hf" else "raw"))
    (place / "photos").mkdir(exist_ok=True)
    rows = [] if form == "hf" else make_shards.rows_of(place / "raw")
    if form == "npz":
        images = [np.asarray(Image.open(place / "raw" / name).resize((80, 80))) for name, _, _ in rows]
        np.savez(place / "photos.npz", images=np.stack(images), labels=np.array([label for _, _, label in rows]))
    elif form != "hf":
        write = make_shards.tar if form == "wds" else make_shards.tfrecord
        for part in range(2):
            write(place / f"photos/{part}.{'tar' if form == 'wds' else form}", rows[part::2])


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comparisons measure latencies in one process, not in five: each starts TensorFlow."""
    monkeypatch.setattr(network_costs, "PROCESSES", 1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that commands call RUN or latest."""
    folder = tmp_path_factory.mktemp("runs")
    assert main(["fit", "--no-export", "--run", "finished", "--runs-dir", str(folder), *SMALL, *SHALLOW]) == 0
    return folder / "finished"


def overrides(command: str, words: list[str]) -> list[str]:
    """Flags that make a command small."""
    if "--help" in words or "--print-config" in words:
        return []
    if command == "fit":
        if "--weights" in words:  # the network is RUN's
            return ["--batch-size", "4", "--epochs", "2", "--head-epochs", "1"]
        if "tfds:cifar10" in words:
            return ["--dataset", "tfds:cifar10[:2%]", "--epochs", "1", "--fraction", "0.1", "--width", "0.25"]
        if "mosaics.csv" in words:
            return SMALLEST
        if any(re.match(r"(wds|tfrecord|npz|hf):photos|photos\.csv", word) for word in words):
            return [*SMALLEST, "--no-export"]
        if any(re.search(r"(^|:)photos", word) for word in words):
            return SMALL_PHOTOS
        named = [arch for flag, arch in pairwise(words) if flag == "--arch"]
        return SMALL if named not in ([], ["resnet"]) else [*SMALL, *SHALLOW]
    return {
        "evaluate": ["--most", "10"],
        "doctor": ["--no-measure"],
        # All of it but the training, which the slow tests of tests/comparison do.
        "compare": []
        if "--predictions" in words
        else ["--dry-run", "--match", "none", "--fraction", "0.02", "--width", "0.25"],
        "tune": ["--epochs", "2", "--fraction", "0.02", "--trials", "2", "--tuner", "random"],
        "benchmark": [
            *("--archs", "resnet20", "--width", "0.25", "--parts", "train", "--rounds", "3", "--seconds", "0.01"),
        ],
    }.get(command, [])


def lay_out(words: list[str], place: Path, request: pytest.FixtureRequest) -> list[str]:
    """Makes what a command names in the present folder; its words, with the place of the run that it calls RUN."""
    if "RUN" in words:
        words = [str(request.getfixturevalue("finished")) if word == "RUN" else word for word in words]
    if "latest" in words:
        (place / "experiments").mkdir()
        (place / "experiments/runs").symlink_to(request.getfixturevalue("finished").parent)
    if "network.py:build" in words:
        shutil.copyfile(ROOT / "examples/own_network.py", place / "network.py")
    if "photos" in words:
        photos(place / "photos")
    if "photos.csv" in words:
        photos(place)
        names = sorted(path.relative_to(place).as_posix() for path in place.glob("*/*.jpg"))
        (place / "photos.csv").write_text("\n".join(["path,label", *(f"{n},{n.split('/')[0]}" for n in names)]))
    if "mosaics.csv" in words:
        several.folder(place).rename(place / "mosaics.csv")
    for name, header in (("audit/exclude.csv", "path"), ("audit/relabel.csv", "path,label")):
        if name in words:
            (place / "audit").mkdir(exist_ok=True)
            (place / name).write_text(f"{header}\n")
    for word in words:
        if word.endswith((".csv", ".json")) and "_seed" in word:  # predictions of other programs
            (place / word).write_text("id,label,class\na.jpg,a,a\nb.jpg,b,a\nc.jpg,b,b\n")
        if word.startswith(("wds:photos", "tfrecord:photos", "npz:photos", "hf:photos")):
            as_another_source(word.partition(":")[0], place)
    if "tfds:cifar10" in words:
        (place / "data").symlink_to(request.getfixturevalue("real_data") / "tfds")
    return words


def assert_again(words: list[str], out: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run of compare, typed again, shows the same plan from what it kept."""
    assert main(["compare", *words]) == 0
    again = capsys.readouterr().out
    assert "solved  earlier" in again
    assert "measure" not in again.replace("what was measured", ""), "a dry run keeps what it measured"
    plans = [[line for line in shown.splitlines() if line.startswith(" " * 12)] for shown in (out, again)]
    assert plans[0] == plans[1]


@pytest.mark.training
@pytest.mark.parametrize("line", [pytest.param(line, id=line, marks=slow_if(line)) for line in TYPED])
def test_commands(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, request) -> None:
    command, *words = shlex.split(line)[2:]
    command = command.removeprefix("kerascnn.")
    monkeypatch.chdir(tmp_path)
    words = lay_out(words, tmp_path, request)
    small = overrides(command, words)
    code = main([command, *words, *small])
    out = capsys.readouterr().out
    assert code == 0, out
    if command == "compare" and "--predictions" not in words:
        assert "measure inference" in out
        if "--folds" not in words:
            assert_again([*words, *small], out, capsys)
    elif command == "tune":
        assert "in all      6 epochs" in out
    elif of_all_folds(line):
        assert "out-of-fold accuracy" in out
        assert list(tmp_path.glob("saved_models/*/1/saved_model.pb"))
    elif command == "fit" and small:
        assert re.search(r"test (accuracy|mAP) \d+\.\d\d%  \[.*\] \(95 %, n = [\d]+ images, 1 seed\)", out)
        assert ("--no-export" in small) != bool(list(tmp_path.glob("saved_models/*/1/saved_model.pb")))
