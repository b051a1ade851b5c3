"""`kerascnn doctor` says what is here, for people and for bug reports."""

import json
import os
import platform
from pathlib import Path

import pytest
import tensorflow as tf

from kerascnn import doctor
from kerascnn.errors import DONE


def test_a_bug_report_has_versions_and_no_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert doctor.main(["--no-measure", "--json"]) == DONE
    text = capsys.readouterr().out
    found = json.loads(text)
    assert found["versions"]["tensorflow"] == tf.__version__
    assert found["cpus"] == len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else found["cpus"] > 0
    assert isinstance(found["advice"], list)
    for private in (platform.node(), str(tmp_path), str(Path.home())):
        assert len(private) < 2 or private not in text
    assert not list(tmp_path.iterdir())


@pytest.mark.training
@pytest.mark.slow
def test_it_measures_what_onednn_is_worth(capsys) -> None:
    facts = doctor.examine(True, doctor.Screen())
    assert facts.worth is not None
    assert facts.worth.error == ""
    assert facts.worth.on > 0
    assert facts.worth.off > 0
    assert doctor.main([]) == DONE
    out = capsys.readouterr().out
    assert "images/s with it" in out
    assert "to change: " in out or "nothing to change" in out
