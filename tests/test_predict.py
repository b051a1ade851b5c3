"""`kerascnn predict`: one line per image in their order, whatever is broken beside it."""

import contextlib
import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kerascnn import artefacts, predict
from kerascnn.artefacts import savedmodel
from kerascnn.artefacts.opening import load_keras
from kerascnn.errors import CHECK_FAILED, DONE, INTERRUPTED, USER_ERROR
from kerascnn.report.overlays import Drawn, Overlays
from kerascnn.runs import Run
from kerascnn.scoring import prediction_sets
from tests.artefacts import networks
from tests.data import odd_files

pytestmark = pytest.mark.training

# A class is a folder's name: these would mean something in a path, in CSV or on a terminal.
NAMES = ("../../up", "<b>bold</b>", 'comma, "quote"', "line\nbreak", "\x1b[31mred", "Grüße 图", "plain")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return networks.predicting(tmp_path_factory.mktemp("runs") / "tiny", NAMES)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty files, five of them broken."""
    folder = tmp_path_factory.mktemp("photos")
    whole = odd_files.encode(odd_files.photo(), "JPEG")
    broken = {
        2: b"",
        5: b"<html>404</html>",
        11: whole[: len(whole) * 4 // 5],
        13: whole[:3],
        19: b"GIF89a\xff\xff\xff\xff",
    }
    for i in range(20):
        content = broken.get(i, odd_files.encode(odd_files.photo(40 + i, 60 - i), "JPEG"))
        (folder / f"{i}.jpg").write_bytes(content)
    return folder


GOOD = [i for i in range(20) if i not in (2, 5, 11, 13, 19)]


def objects(out: str) -> list[dict]:
    return [json.loads(line) for line in out.splitlines()]


def test_broken_files_are_reported_and_the_rest_is_answered(
    run: Run, photos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert predict.main([str(run.path), str(photos), "--json", "--batch-size", "3", "--top", "7"]) == CHECK_FAILED
    out, err = capfd.readouterr()
    rows = objects(out)
    assert [row["image"] for row in rows] == [str(photos / f"{i}.jpg") for i in GOOD]
    expected = artefacts.open(run.path).predict([row["image"] for row in rows])
    for row, probabilities in zip(rows, expected, strict=True):
        assert row["class"] == row["top"][0]["class"] == NAMES[probabilities.argmax()]
        found = {entry["class"]: entry["probability"] for entry in row["top"]}
        np.testing.assert_allclose([found[name] for name in NAMES], probabilities, atol=1e-6)
        assert sorted(found.values(), reverse=True) == list(found.values())
    problems = [line for line in err.splitlines() if line.startswith("kerascnn: ")]
    for i, reason in ((2, "empty"), (5, "not an image"), (11, "truncated"), (13, "JPEG"), (19, "GIF")):
        assert sum(f"{photos / f'{i}.jpg'}: " in line and reason in line for line in problems) == 1
    assert problems[-1] == "kerascnn: 5 could not be used, 15 predicted"
    assert len(problems) == 6


def test_files_patterns_and_lists_are_answered_alike(
    run: Run, photos: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [str(photos / f"{i}.jpg") for i in (7, 6, 8)]
    answers = []
    for words, stdin in (
        (paths, ""),
        (["-"], "\n".join(paths)),
        (["-"], "\0".join(paths)),
        ([str(photos / "7.jp*"), str(photos / "[68].jpg")], ""),
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        assert predict.main([str(run.best_model), *words, "--json", "--top", "1"]) == DONE
        answers.append(objects(capfd.readouterr().out))
    assert [row["image"] for row in answers[0]] == paths
    assert answers[1] == answers[2] == answers[3] == answers[0]


def test_csv_has_a_header_and_a_row_per_image(run: Run, photos: Path, tmp_path: Path, capfdbinary) -> None:
    odd = os.fsdecode(b"not_utf8_\xff, .jpg")
    shutil.copy(photos / "0.jpg", tmp_path / odd)
    assert predict.main([str(run.path), str(tmp_path), str(photos / "1.jpg"), "--csv", "--top", "7"]) == DONE
    out, err = capfdbinary.readouterr()
    header, first, second = csv.reader(io.StringIO(out.decode("utf-8", "surrogateescape"), newline=""))
    assert header == ["image", *(f"{name}_{i}" for i in range(1, 8) for name in ("class", "probability"))]
    assert [first[0], second[0]] == [str(tmp_path / odd), str(photos / "1.jpg")]
    assert sorted(second[1::2]) == sorted(NAMES)
    assert sum(map(float, second[2::2])) == pytest.approx(1, abs=1e-5)
    # Nothing but what is waited for, in lines that begin with spaces.
    assert [line for line in err.splitlines() if not line.startswith(b"        ")] == []


def test_people_get_one_printable_line(run: Run, photos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert predict.main([str(run.path), str(photos / "0.jpg"), "--top", "99"]) == DONE
    (line,) = (line for line in capfd.readouterr().out.splitlines() if not line.startswith(" " * 8))  # but phases
    assert line.isprintable()
    assert line.startswith(str(photos / "0.jpg"))
    assert "line\\nbreak" in line
    assert "\\x1b[31mred" in line
    assert line.count("%") == 7


def test_overlays_stay_in_their_folder_and_keep_apart(
    run: Run, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("x", "y"):
        (tmp_path / "in" / name).mkdir(parents=True)
        for i in GOOD[:6]:
            shutil.copy(photos / f"{i}.jpg", tmp_path / "in" / name / f"{i}.jpg")
    out = tmp_path / "in" / "cam"
    for _ in range(2):  # the second time the pictures lie there, and are no input
        assert (
            predict.main(
                [
                    str(run.path),
                    str(tmp_path / "in"),
                    "--json",
                    "--cam",
                    "grad-cam",
                    "--cam-into",
                    str(out),
                    "--batch-size",
                    "5",
                ]
            )
            == 0
        )
        rows = objects(capfd.readouterr().out)
    assert sorted(row["cam"] for row in rows) == sorted(str(path) for path in out.glob("*.png"))
    assert len(list(out.glob("*.png"))) == 12
    for row in rows:
        with Image.open(row["cam"]) as picture:
            assert picture.size == (256, 256)
        assert Path(row["cam"]).name.startswith(Path(row["image"]).stem)
    overlays = Overlays(out / "each", load_keras(run.best_model), 32, "crop", Drawn("grad-cam", 0))
    pictures = overlays.write([rows[0]["image"]] * len(NAMES), range(len(NAMES)), NAMES)
    assert len(set(pictures)) == len(NAMES)
    assert sorted(pictures) == sorted((out / "each").glob("*.png"))
    assert {path.name for path in tmp_path.iterdir()} == {"in"}
    other = Overlays(out / "each", overlays.model, 32, "crop", Drawn("layer-cam", 2))
    (beside,) = other.write([rows[0]["image"]], [0], NAMES)
    assert beside.name == f"{pictures[0].stem}_layer-cam_2.png"
    assert pictures[0].exists()


def test_what_has_no_layers_has_no_overlays(run: Run, photos: Path, tmp_path: Path, capfd) -> None:
    network = networks.tiny(size=16)
    version = savedmodel.export(network, tmp_path / "saved", class_names=NAMES, image_size=16, resize="crop")
    words = [str(photos / "0.jpg"), "--cam", "grad-cam", "--cam-into"]
    assert predict.main([str(version), *words, str(tmp_path / "cam")]) == USER_ERROR
    assert "give a run or its .keras file" in capfd.readouterr().err
    (tmp_path / "file").write_text("")
    assert predict.main([str(run.path), *words, str(tmp_path / "file")]) == USER_ERROR
    assert "cannot hold pictures" in capfd.readouterr().err
    assert predict.main([str(run.path), *words, str(photos)]) == USER_ERROR
    assert "holds other images" in capfd.readouterr().err
    assert predict.main([str(run.path), str(photos / "0.jpg"), "--cam-smooth", "4"]) == USER_ERROR
    assert "give --cam METHOD as well" in capfd.readouterr().err


def test_a_bare_file_is_told_its_classes(run: Run, photos: Path, tmp_path: Path, capfd) -> None:
    bare = str(shutil.copy(run.best_model, tmp_path / "bare.keras"))
    (tmp_path / "classes.txt").write_bytes(b"a\r\nb\nc\\nd\ne\\\\n\nf\ng\nh\n")
    image = str(photos / "0.jpg")
    said = {}
    for names in (None, "a,b,c,d,e,f,g", str(tmp_path / "classes.txt")):
        flags = [] if names is None else ["--class-names", names]
        assert predict.main([bare, image, "--json", "--top", "7", *flags]) == DONE
        (row,) = objects(capfd.readouterr().out)
        said[names] = {entry["class"] for entry in row["top"]}
    assert said[None] == set("0123456")
    assert said["a,b,c,d,e,f,g"] == set("abcdefg")
    assert said[str(tmp_path / "classes.txt")] == {"a", "b", "c\nd", "e\\n", "f", "g", "h"}
    assert predict.main([bare, image, "--class-names", "cat,dog"]) == USER_ERROR
    assert "7 classes, but 2 class names" in capfd.readouterr().err
    assert predict.main([bare, image, "--class-names", ",".join(f"class {place}" for place in range(99))]) == USER_ERROR
    assert "7 classes, but 99 class names" in capfd.readouterr().err


def test_prediction_sets_of_a_run(run: Run, photos: Path, tmp_path: Path, capfd) -> None:
    known = Run(shutil.copytree(run.path, tmp_path / "known"))
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(len(NAMES)), 60).astype("float32")
    known.write_predictions(
        "val", ids=np.arange(60).astype(str), labels=rng.integers(0, len(NAMES), 60), probabilities=probabilities
    )
    image = str(photos / "0.jpg")
    # A process of its own: what is printed while TensorFlow's output is held back would be lost there only.
    command = [sys.executable, "-m", "kerascnn.predict", str(known.path), image, "--sets", "--coverage", "0.5"]
    done = subprocess.run([*command, "--json", "--top", "7"], capture_output=True, text=True, check=True)
    (row,) = objects(done.stdout)
    assert "sets at 50%, approximate: val chose the checkpoint (n = 60" in done.stderr
    limit = prediction_sets.rule(prediction_sets.Calibration.of_run(known), 0.5).threshold
    assert row["set"] == [entry["class"] for entry in row["top"] if 1 - entry["probability"] <= limit]
    assert predict.main([str(known.best_model), image, "--sets", "--coverage", "0.97"]) == DONE
    line = capfd.readouterr().out.strip()
    assert line.startswith(f"{image}  unsure: ")
    assert line.isprintable()
    assert predict.main([str(known.path), image, "--sets", "--coverage", "0.97", "--csv", "--top", "1"]) == DONE
    header, cells = csv.reader(io.StringIO(capfd.readouterr().out, newline=""))
    assert header == ["image", "class_1", "probability_1", "set"]
    assert len(cells[3].split("|")) == line.count(" | ") + 1


def test_mistakes_are_one_message(run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        ([], "which network and which images?"),
        ([str(run.path)], "which network and which images?"),
        ([str(tmp_path / "nowhere"), "x.jpg"], "there is no"),
        ([str(run.path), "x.jpg", "--json", "--csv"], "choose one"),
        ([str(run.path), "x.jpg", "--top", "0"], "--top: expected"),
        ([str(run.path), "x.jpg", "--class-names", "cat,dog"], "leave it out"),
        ([str(run.path), "x.jpg", "--sets"], "has no images for thresholds"),
        ([str(run.path), "x.jpg", "--reject-unknown"], "--unknown FOLDER` of images of other classes measures it"),
        ([str(run.path), "x.jpg", "--reject-unknown", "--sort-into", str(tmp_path)], "give one of the two"),
        ([str(run.path), "x.jpg", "--coverage", "0.8"], "give --sets as well"),
    ):
        assert predict.main(words) == USER_ERROR, words
        out, err = capfd.readouterr()
        assert out == ""
        assert message in err
    assert predict.main([str(run.path), str(tmp_path / "missing.jpg")]) == CHECK_FAILED
    assert "missing.jpg: No such file" in capfd.readouterr().err


def test_a_reader_that_goes_away_ends_it_quietly(run: Run, photos: Path) -> None:
    command = f"{sys.executable} -m kerascnn.predict {run.path} {photos} {photos} --batch-size 1 | head -1"
    shell = ["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"]
    done = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert done.stdout.startswith(str(photos / "0.jpg"))
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    assert done.returncode in (DONE, CHECK_FAILED)


@pytest.mark.slow
def test_ctrl_c_ends_it_at_once(run: Run, photos: Path) -> None:
    command = [sys.executable, "-m", "kerascnn.predict", str(run.path), "-", "--batch-size", "1"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin
        assert child.stdout
        child.stdin.write(f"{photos / '0.jpg'}\n" * 50)
        child.stdin.flush()
        assert child.stdout.readline().startswith(str(photos / "0.jpg"))
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
    assert child.returncode == INTERRUPTED
    assert "interrupted" in err
    assert "Traceback" not in err


def _drain(terminal: int, shown: bytearray) -> None:
    """Read until the other side is closed, which is an error to a terminal's master."""
    with contextlib.suppress(OSError):
        while text := os.read(terminal, 65536):
            shown += text


PREDICT = """
import pathlib, sys
from kerascnn import predict
from kerascnn.devices import timing
code = predict.main(sys.argv[2:])
pathlib.Path(sys.argv[1]).write_text(str(timing.peak_memory()))
sys.exit(code)
"""


@pytest.mark.slow
def test_a_thousand_images_stream_in_bounded_memory_under_a_bar(run: Run, tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), "uint8")).save(tmp_path / "large.jpg")
    peaks = []
    for count in (100, 1000):
        folder = tmp_path / str(count)
        folder.mkdir()
        for i in range(count):
            (folder / f"{i}.jpg").symlink_to(tmp_path / "large.jpg")
        master, slave = os.openpty()
        command = [sys.executable, "-c", PREDICT, str(tmp_path / "peak"), str(run.path), str(folder), "--json"]
        bar = threading.Thread(target=_drain, args=(master, shown := bytearray()))
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=slave) as child:
            os.close(slave)
            bar.start()  # a terminal that nobody reads takes 4 kB, and then the child waits
            assert child.stdout
            rows = [json.loads(line) for line in child.stdout]
        bar.join()
        os.close(master)
        peaks.append(int((tmp_path / "peak").read_text()))
        assert child.returncode == 0
        assert [row["image"] for row in rows] == [str(folder / f"{i}.jpg") for i in range(count)]
        assert f"{count}/{count}".encode() in shown
    # One decoded image is 9 MB: all of them would be 9 GB.
    assert peaks[1] - peaks[0] < 150e6


def test_images_are_sorted_by_their_answers(run: Run, photos: Path, tmp_path: Path, capfd) -> None:
    """Below the folder of the images: what was sorted is never asked about again, broken files are reported as ever."""
    shutil.copytree(photos, tmp_path / "photos")
    out = tmp_path / "photos" / "sorted"
    predict.main([str(run.path), str(tmp_path / "photos"), "--json"])
    sure = sorted({row["top"][0]["probability"] for row in objects(capfd.readouterr().out)})
    least = (sure[len(sure) // 2 - 1] + sure[len(sure) // 2]) / 2
    words = [str(run.path), str(tmp_path / "photos"), "--sort-into", str(out), "--min-confidence", str(least), "--json"]
    found = []
    for words_of_images in (words, words, [words[0], f"{tmp_path}/photos/**/*.jpg", *words[2:]]):
        assert predict.main(words_of_images) == CHECK_FAILED
        captured = capfd.readouterr()
        found.append({row["image"]: row for row in objects(captured.out)})
        assert len(found[-1]) == len(GOOD)
        assert captured.err.count("could not be used") == 1
        assert "sorted into" in captured.err
    assert found[0] == found[1] == found[2]
    places = {Path(row["sorted"]) for row in found[0].values()}
    assert {path for path in out.rglob("*") if path.is_file() and path.name != ".kerascnn"} == places
    for name, row in found[0].items():
        assert Path(row["sorted"]).read_bytes() == Path(name).read_bytes()
        unsure = row["top"][0]["probability"] < least
        assert Path(row["sorted"]).parent.name.startswith("unsure") == unsure
    assert len({place.parent for place in places}) > 1, "some are sure and some are not"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--link",), "--link says how images are sorted: give --sort-into"),
        (("--min-confidence", "0.5"), "--min-confidence says how images are sorted"),
        (("--min-confidence", "50", "--sort-into", "x"), "--min-confidence: expected less than or equal to 1, got 50"),
        (("--sort-into", "PHOTOS"), "name another folder"),
    ],
)
def test_sorting_mistakes(run: Run, photos: Path, words, message: str, capfd) -> None:
    flags = [word.replace("PHOTOS", str(photos)) for word in words]
    assert predict.main([str(run.path), str(photos), *flags]) == USER_ERROR
    assert message in capfd.readouterr().err
