"""Folds that cannot be: one message, exit code 2, nothing written."""

from pathlib import Path

import pytest

from kerascnn import compare, fit, tune
from kerascnn.errors import USER_ERROR


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--folds", "5", "--fold", "0"], "--fold: expected greater than or equal to 1, got 0"),
        (["--folds", "5", "--fold", "6"], "--fold 6: there are 5 folds, counted from 1"),
        (["--fold", "2"], "--fold 2 of how many? --folds 5 --fold 2"),
        (["--folds", "5", "--val-is-val"], "--val-is-val and --folds: a fold is test"),
        (["--folds", "5", "--workers", "99"], "--workers 99: there are "),
        (["--folds", "5", "--fold", "1", "--workers", "2"], "--workers is for --folds without --fold"),
        (["--folds", "5", "--overwrite"], "--overwrite with --folds and without --fold: delete the runs"),
        (["--folds", "5", "--stop-epoch", "2"], "--stop-epoch with --folds and without --fold: "),
        (["--folds", "5", "--dataset", "gone"], "no data set called 'gone'"),
        (["--folds", "5", "--arch", "resnet21"], "resnet21"),
    ],
)
def test_fit(words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert fit.main(words) == USER_ERROR
    err = capsys.readouterr().err
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_other_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert tune.main(["--folds", "5", "--space", "resnet_filters"]) == USER_ERROR
    assert "--folds 5: which one? --fold 1" in capsys.readouterr().err
    assert compare.main(["--folds", "5", "--seeds", "3"]) == USER_ERROR
    assert "--folds and --seeds: each fold is trained once" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
