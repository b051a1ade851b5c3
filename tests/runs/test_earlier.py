"""Runs of earlier versions: taken over with a word where their images are the same, passed over with a word where not."""

import json
import os
from pathlib import Path

import pytest

from kerascnn.config import Config
from kerascnn.runs import Run, default_name, prepare
from kerascnn.runs.earlier import alike, same

OLD, NEW = "a" * 64, "2-" + "b" * 64
LONG_AGO, TOMORROW = 1e9, 4e9


def trained(folder: Path, **sections) -> tuple[Config, Run]:
    """A finished run as an earlier version left it."""
    config = Config(logging={"runs_dir": folder}).replace(**sections)
    run = Run(folder / (config.logging.run or default_name(config, OLD, "photos")))
    run.write_config(config)
    run.write_data({"fingerprint": OLD, "class_names": ["ä"]}, [("ä/1.jpg", "ä", "test")], [])
    run.add_environment({"policy": "float32"})
    run.write_metrics({"finished": "then"})
    return config, run


def prepared(config: Config, changed: float, fingerprint: str = NEW) -> tuple[Run, list[str]]:
    said: list[str] = []
    return prepare(config, fingerprint, "photos", (OLD, changed), said.append), said


@pytest.mark.parametrize("name", [None, "mine"])
def test_a_run_whose_images_are_older_than_it_is_taken_over_and_said(tmp_path: Path, name: str | None) -> None:
    config, run = trained(tmp_path, logging={"run": name, "runs_dir": tmp_path})
    found, said = prepared(config, LONG_AGO)
    assert found.path == run.path
    assert found.finished
    assert "is taken over" in said[0]
    assert found.data() == {"fingerprint": NEW, "class_names": ["ä"]}
    assert found.split_rows() == {"ä/1.jpg": "test"}
    assert prepared(config, TOMORROW) == (found, []) or prepared(config, TOMORROW)[0].path == run.path


def test_a_run_whose_images_are_newer_is_not_reused_and_said(tmp_path: Path) -> None:
    config, run = trained(tmp_path)
    found, said = prepared(config, TOMORROW)
    assert found.path != run.path
    assert not found.finished
    assert "have changed since it began" in said[0]
    assert run.data()["fingerprint"] == OLD


def test_by_a_name_that_was_given_it_is_an_error_that_names_the_fingerprint(tmp_path: Path) -> None:
    config, _ = trained(tmp_path, logging={"run": "mine", "runs_dir": tmp_path})
    with pytest.raises(Exception, match=r"data.fingerprint"):
        prepared(config, TOMORROW)


def test_a_run_that_does_not_say_when_it_began_is_not_trusted(tmp_path: Path) -> None:
    _, run = trained(tmp_path)
    run.environment_file.unlink()
    assert not same(run, NEW, (OLD, LONG_AGO))
    assert alike(run, NEW, (OLD, LONG_AGO))
    assert not alike(run, NEW, ("c" * 64, 0))


def test_other_images_are_no_matter_of_earlier_versions(tmp_path: Path) -> None:
    config, run = trained(tmp_path)
    said: list[str] = []
    found = prepare(config, NEW, "photos", ("c" * 64, LONG_AGO), said.append)
    assert found.path != run.path
    assert said == []


def test_a_start_notes_where_it_was_so_that_relative_places_are_found_again(tmp_path: Path) -> None:
    _, run = trained(tmp_path)
    assert json.loads(run.environment_file.read_text())[0]["directory"] == os.getcwd()  # noqa: PTH109
