"""The README and the pages of docs/: every kerascnn command runs as written but for small overrides; links and names exist."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kerascnn.__main__ import COMMANDS, main
from kerascnn.architectures.tables import ARCHS
from kerascnn.comparison import network_costs
from tests import several
from tests.data import make_shards

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}
OURS = re.compile(r"python -m kerascnn\.(\w+)(.*)")
SMALL = ["--epochs", "1", "--fraction", "0.02", "--width", "0.25"]
SMALL_PHOTOS = ["--epochs", "1", "--arch", "resnet18", "--width", "0.125", "--image-size", "72", "--batch-size", "4"]
SMALLEST = ["--epochs", "1", "--arch", "resnet20", "--width", "0.25", "--image-size", "16", "--batch-size", "4"]
# Commands of a block that are not kerascnn's: the environment, which .ci/run makes, and what this file is run by.
OTHERS = re.compile(
    r"python3 -m venv \.venv && \. \.venv/bin/activate|pip install (-c constraints\.txt )?-e (\.|\"\.\[[\w,]+\]\")"
    r"|(KERASCNN_TEST_DATA=FOLDER )?python -m pytest .*|ruff check \.|ruff format --check \.|mypy"
)
# What runs and exports leave behind, which the pages name and no checkout has.
MADE = (
    *("experiments/runs", "experiments/folds", "experiments/audits", "experiments/comparisons", "experiments/searches"),
    "saved_models",
)


def blocks(language: str, text: str) -> list[str]:
    """The contents of a page's blocks in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.S | re.M)


def prose(text: str) -> str:
    """A page without its blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)


def spans(text: str) -> list[str]:
    """The inline code of a page."""
    return re.findall(r"`([^`]+)`", prose(text))


def typed(text: str) -> list[str]:
    """The commands of a page, a line each."""
    return [line.strip() for block in blocks("bash", text) for line in block.splitlines() if line.strip()]


TYPED = sorted({line for text in TEXTS.values() for line in typed(text) if OURS.fullmatch(line)})


def of_all_folds(line: str) -> bool:
    """Whether a command trains a run for each fold."""
    return line.startswith("python -m kerascnn.fit") and "--folds" in line and "--fold " not in line


def slow_if(line: str) -> list[pytest.MarkDecorator]:
    """A mark for commands that train several runs."""
    return [pytest.mark.slow] if of_all_folds(line) else []


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
    assert main(["fit", "--no-export", "--run", "finished", "--runs-dir", str(folder), *SMALL]) == 0
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
        return SMALL_PHOTOS if any(re.search(r"(^|:)photos", word) for word in words) else SMALL
    return {
        "evaluate": ["--most", "10"],
        # All of it but the training, which the slow tests of tests/comparison do.
        "compare": ["--dry-run", "--match", "none", "--fraction", "0.02", "--width", "0.25"],
        "tune": ["--epochs", "2", "--fraction", "0.02", "--trials", "2", "--tuner", "random"],
        "benchmark": [
            *("--archs", "resnet20", "--width", "0.25", "--parts", "train", "--rounds", "3", "--seconds", "0.01"),
        ],
    }.get(command, [])


@pytest.mark.training
@pytest.mark.parametrize("line", [pytest.param(line, id=line, marks=slow_if(line)) for line in TYPED])
def test_commands(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, request) -> None:
    command, *words = shlex.split(line)[2:]
    command = command.removeprefix("kerascnn.")
    monkeypatch.chdir(tmp_path)
    if "RUN" in words:
        words = [str(request.getfixturevalue("finished")) if word == "RUN" else word for word in words]
    if "latest" in words:
        (tmp_path / "experiments").mkdir()
        (tmp_path / "experiments/runs").symlink_to(request.getfixturevalue("finished").parent)
    if "network.py:build" in words:
        shutil.copyfile(ROOT / "examples/own_network.py", tmp_path / "network.py")
    if "photos" in words:
        photos(tmp_path / "photos")
    if "photos.csv" in words:
        photos(tmp_path)
        names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*/*.jpg"))
        (tmp_path / "photos.csv").write_text("\n".join(["path,label", *(f"{n},{n.split('/')[0]}" for n in names)]))
    if "mosaics.csv" in words:
        several.folder(tmp_path).rename(tmp_path / "mosaics.csv")
    for name, header in (("audit/exclude.csv", "path"), ("audit/relabel.csv", "path,label")):
        if name in words:
            (tmp_path / "audit").mkdir(exist_ok=True)
            (tmp_path / name).write_text(f"{header}\n")
    for word in words:
        if word.startswith(("wds:photos", "tfrecord:photos", "npz:photos", "hf:photos")):
            as_another_source(word.partition(":")[0], tmp_path)
    if "tfds:cifar10" in words:
        (tmp_path / "data").symlink_to(request.getfixturevalue("real_data") / "tfds")
    small = overrides(command, words)
    code = main([command, *words, *small])
    out = capsys.readouterr().out
    assert code == 0, out
    if command == "compare":
        assert "measure inference" in out
        if "--folds" in words:
            return
        assert main(["compare", *words, *small]) == 0
        again = capsys.readouterr().out
        assert "solved  earlier" in again
        assert "measure" not in again.replace("what was measured", ""), "a dry run keeps what it measured"
        plans = [[line for line in shown.splitlines() if line.startswith(" " * 12)] for shown in (out, again)]
        assert plans[0] == plans[1]
    elif command == "tune":
        assert "in all      6 epochs" in out
    elif of_all_folds(line):
        assert "out-of-fold accuracy" in out
        assert list(tmp_path.glob("saved_models/*/1/saved_model.pb"))
    elif command == "fit" and small:
        assert re.search(r"test (accuracy|mAP) \d+\.\d\d%  \[.*\] \(95 %, n = [\d]+ images, 1 seed\)", out)
        assert ("--no-export" in small) != bool(list(tmp_path.glob("saved_models/*/1/saved_model.pb")))


@pytest.mark.training
def test_the_library_examples_run_and_their_file_opens_in_a_new_process(tmp_path: Path) -> None:
    examples = [block for text in TEXTS.values() for block in blocks("python", text)]
    assert len(examples) == 2
    shown = subprocess.run(
        [sys.executable, "-c", "\n".join(examples)], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    assert shown.strip() == "(1, 10) (None, 8, 8, 32)"
    reload = "import keras, kerascnn.layers; print(keras.models.load_model('mine.keras').output_shape)"
    out = subprocess.run(
        [sys.executable, "-c", reload], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    assert out.strip() == "(None, 10)"


def test_shell_completion_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--tyro-print-completion", "bash"]) == 0
    assert "--batch-size" in capsys.readouterr().out


def test_the_readme_is_for_five_minutes() -> None:
    assert len(TEXTS["README.md"].splitlines()) <= 170


@pytest.mark.parametrize("page", TEXTS)
def test_no_command_of_a_block_is_left_unknown(page: str) -> None:
    unknown = [line for line in typed(TEXTS[page]) if not OURS.fullmatch(line) and not OTHERS.fullmatch(line)]
    assert not unknown
    assert set(re.findall(r"^```(\w*)$", TEXTS[page], re.M)) <= {"", "bash", "text", "toml", "python"}
    assert not re.search(r"^(    |\t)(python|kerascnn|pip) ", prose(TEXTS[page]), re.M), "a command outside a block"


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(TEXTS[page])):
        place, _, anchor = link.partition("#")
        target = (ROOT / page).parent / place if place else ROOT / page
        assert not re.match(r"\w+:", link), f"{link}: no page depends on another site"
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


def test_every_page_can_be_reached_from_the_index() -> None:
    index = TEXTS["docs/index.md"]
    missing = [
        page.name for page in PAGES if page.name not in ("README.md", "index.md") and f"({page.name})" not in index
    ]
    assert not missing


@pytest.fixture(scope="module")
def known_flags() -> set[str]:
    """The flags of all commands, as their help shows them."""
    flags = {"--help", "--help-all", "--print-config", "--version", "--tyro-print-completion", "--logdir"}
    for command in COMMANDS:
        shown = subprocess.run(
            [sys.executable, "-m", f"kerascnn.{command}", "--help-all"], capture_output=True, text=True
        )
        flags |= set(re.findall(r"--[a-z][\w-]*", shown.stdout.replace("[no-]", "no-")))
        flags |= set(re.findall(r"--[a-z][\w-]*", shown.stdout.replace("[no-]", "")))
    return flags


@pytest.mark.parametrize("page", TEXTS)
def test_flags_in_the_text_exist(page: str, known_flags: set[str]) -> None:
    named = {flag for span in spans(TEXTS[page]) for flag in re.findall(r"(?<![\w-])--[a-z][\w-]*", span)}
    assert not named - known_flags


@pytest.mark.parametrize("page", TEXTS)
def test_paths_in_the_text_exist(page: str) -> None:
    words = {word for code in spans(TEXTS[page]) + typed(TEXTS[page]) for word in code.split()}
    paths = {
        word for word in words if re.match(r"(experiments|examples|docs|tests|kerascnn|saved_models)/[\w./-]+", word)
    }
    missing = [path for path in paths if not path.startswith(MADE) and not (ROOT / path).exists()]
    assert not missing


def test_every_network_stands_on_its_page_and_is_counted() -> None:
    assert {f"`{arch}`" for arch in ARCHS} <= set(re.findall(r"`\w+`", TEXTS["docs/networks.md"]))
    counts = {
        count
        for text in TEXTS.values()
        for count in re.findall(r"(?<!ensemble of )\b(\d+) networks|lists all (\d+)", text)
    }
    assert {int(count) for pair in counts for count in pair if count} == {len(ARCHS)}


def test_extras_in_the_text_exist() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    table = project.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    known = set(re.findall(r"^(\w+) = \[", table, re.M))
    text = "\n".join(TEXTS.values())
    named = {extra for group in re.findall(r"\.\[([\w,]+)\]", text) for extra in group.split(",")}
    assert named <= known
