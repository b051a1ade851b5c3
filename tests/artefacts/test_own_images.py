"""A run's own images are found again, in the run's own splits, or the message says how."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kerascnn import data
from kerascnn.artefacts import own_images
from kerascnn.config import Config, Data
from kerascnn.errors import UserError
from kerascnn.runs import Run


@pytest.fixture
def run(tmp_path: Path, monkeypatch) -> Run:
    """What a start keeps of its data, in a folder with the images beside it."""
    for label in ("ant", "bee"):
        (tmp_path / "there" / "photos" / label).mkdir(parents=True)
        for place in range(12):
            Image.new("RGB", (9, 9), (place, len(label), ord(label[0]))).save(
                tmp_path / "there" / "photos" / label / f"{place}.png"
            )
    monkeypatch.chdir(tmp_path / "there")
    config = Config(data={"dataset": "photos", "image_size": 9})
    splits = data.load(config.data)
    found = Run(tmp_path / "there" / "runs" / "mine")
    found.write_config(config)
    found.write_data(splits.summary(), splits.rows(), splits.skipped)
    found.add_environment({})
    return found


def test_from_another_directory_the_images_are_found_where_the_run_was_started(run, tmp_path, monkeypatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert own_images.load(run).fingerprint == run.data()["fingerprint"]


def test_images_that_are_gone_name_the_flag_and_the_place(run, tmp_path, monkeypatch) -> None:
    (tmp_path / "there" / "photos").rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"(?s)--dataset photos in .*there: give the present place"):
        own_images.load(run)
    assert own_images.load(run, str(tmp_path / "moved")).fingerprint == run.data()["fingerprint"]


def test_what_the_run_kept_decides_who_is_where(run) -> None:
    """Also where a later version cuts otherwise: what it learned from is never scored as test."""
    rows = [(path, label, "train" if i % 2 else "test") for i, (path, label, _) in enumerate(_rows(run))]
    run.write_data(run.data(), rows, [])
    assert own_images.load(run).rows() == sorted(rows, key=lambda row: (row[2] != "train", row[0]))


def _rows(run: Run) -> list[tuple[str, str, str]]:
    return sorted((path, path.split("/")[0], split) for path, split in run.split_rows().items())


def test_changed_images_are_refused_and_an_earlier_versions_are_named(run) -> None:
    former = data.load(run.config().data).former
    assert former is not None
    run.write_data({**run.data(), "fingerprint": former.fingerprint}, _rows(run), [])
    said: list[str] = []
    own_images.load(run, say=said.append)
    assert "names and sizes" in said[0]
    Image.fromarray(np.zeros((9, 9, 3), "uint8")).save("photos/ant/0.png")
    run.write_data({**run.data(), "fingerprint": "2-0"}, _rows(run), [])
    with pytest.raises(UserError, match="have changed since"):
        own_images.load(run)


def test_classes_of_an_artefact_in_another_unicode_form_are_the_same() -> None:
    from kerascnn.evaluation import evaluated_model

    class Splits:
        class_names = ("K\u00e4se",)
        name = "food"

    class Predictor:
        class_names = ("Ka\u0308se", "Brot")

    evaluated_model._check_classes(Predictor(), Splits())  # type: ignore[arg-type]
    assert Data().leave_out == ()
