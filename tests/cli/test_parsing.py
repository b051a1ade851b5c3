"""Flags, recipes and exit codes, as a user meets them."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

from kerascnn.__main__ import COMMANDS, main
from kerascnn.cli.command import command
from kerascnn.cli.parsing import parse_config
from kerascnn.cli.recipes import dumps, load_recipe
from kerascnn.config import Config
from kerascnn.errors import INTERRUPTED, Stopped, TrainingFailed, UserError


def parse(*argv: str) -> Config:
    return parse_config(argv, prog="kerascnn fit", description="Train.")


def test_defaults() -> None:
    assert parse() == Config()


def test_flags_are_flat_and_typed() -> None:
    config = parse(
        "--epochs",
        "3",
        "--augment",
        "flip",
        "cutout",
        "--filters",
        "stage1",
        "32",
        "stage2.3x3_reduce",
        "5",
        "--no-export",
    )
    assert config.fit.epochs == 3
    assert config.augment.augment == ("flip", "cutout")
    assert config.model.filters == {"stage1": 32, "stage2.3x3_reduce": 5}
    assert not config.logging.export


def test_precedence_default_recipe_flag(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text("[fit]\nepochs = 7\nbatch_size = 32\n[optim]\nlr = 0.3\n")
    config = parse("--epochs", "9", "--config", str(recipe))
    assert (config.fit.epochs, config.fit.batch_size, config.optim.lr, config.optim.momentum) == (9, 32, 0.3, 0.9)


def test_filters_of_a_recipe_stay_under_those_of_flags(tmp_path: Path) -> None:
    """Names that are flags too (stem), which a search over filters writes; found where 24 candidates failed at once."""
    recipe = tmp_path / "best.toml"
    recipe.write_text("[model]\nblocks = [2, 2, 1]\n[model.filters]\nstem = 8\nstage1 = 24\n")
    config = parse("--config", str(recipe), "--filters", "stage1", "16", "--stem", "small")
    assert (config.model.filters, config.model.blocks) == ({"stem": 8, "stage1": 16}, (2, 2, 1))
    assert config.model.stem == "small"
    assert parse("--config", str(recipe)).model.filters == {"stem": 8, "stage1": 24}


def test_config_round_trips_through_toml(tmp_path: Path) -> None:
    config = parse(
        "--filters", "stage1.3x3", "8", "--lr", "0.25", "--image-size", "96", "--run", "mine", "--step-epochs", "0.3"
    )
    path = tmp_path / "config.toml"
    path.write_text(dumps(config))
    assert load_recipe(path) == config
    assert load_recipe(tmp_path) == config  # a run's directory
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # a byte order mark, as Windows' editors write it
    assert load_recipe(path) == config


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--epochs", "0"), "--epochs: expected greater than or equal to 1, got 0"),
        (("--optimizer", "sdg"), "perhaps you meant 'sgd'"),
        (("--devices", "tpu"), "expected auto, cpu, cpu:N, gpu or gpu:N, got 'tpu'"),
        (("--devices", "cpu:0"), "got 'cpu:0'"),
        (("--model", "resnet50"), "--model: this is called --arch here"),
        (("--pretrained",), "--weights imagenet"),
        (("--imgsz", "224"), "--image-size"),
        (("--img-size", "224"), "--image-size"),
        (("--data", "x"), "--dataset"),
        (("--name", "x"), "--run"),
        (("--resume",), "the same command resumes"),
        (("--amp",), "--dtype"),
        (("--early-stop", "5"), "now called --patience"),
        (("--small-epochs=5",), "now called --low-res-epochs"),
        (("-b", "5"), "--batch-size"),
        (("-j", "5"), "automatic"),
        (("--config",), "expected a file"),
        (("--config", "nowhere"), "no file 'nowhere'"),
        (("--run", "a/b"), "one folder's name"),
    ],
)
def test_mistakes_are_answered(argv: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError) as raised:
        parse(*argv)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[fit]\nearly_stop = 3\n", "[fit] early_stop: unknown key: it is now called 'patience'"),
        ("[fit]\nepoch = 3\n", "[fit] epoch: unknown key - perhaps you meant 'epochs'"),
        ("[fit]\nlr = 3\n", "[fit] lr: unknown key - it belongs under [optim]"),
        ("epochs = 3\n", "unknown section 'epochs' - it belongs under [fit]"),
        ("[optm]\nlr = 1\n", "unknown section 'optm' - perhaps you meant 'optim'"),
        ("[optim]\nlr = -1\n", "[optim] lr: expected greater than 0, got -1"),
        ("[optim]\nschedule = 'cosin'\n", "perhaps you meant 'cosine'"),
        ("[optim\n", "not valid TOML"),
        ("optim = 3\n", "[optim] must be a section"),
        ("x = " + "[" * 3000, "not valid TOML: nested too deeply"),
        ("[fit]\nepochs = " + "9" * 5000, "not valid TOML: Exceeds the limit"),
        ('[data]\ndataset = "a\\u0000b"\n', "[data] dataset: expected text without NUL characters, got 'a\\x00b'"),
    ],
)
def test_a_recipes_mistake_names_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    recipe = tmp_path / "bad.toml"
    recipe.write_text(text)
    with pytest.raises(UserError) as raised:
        parse("--config", str(recipe))
    assert str(recipe) in str(raised.value)
    assert message in str(raised.value)


def test_print_config_prints_toml_and_stops(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as raised:
        parse("--print-config", "--lr", "0.2")
    assert raised.value.code == 0
    path = tmp_path / "printed.toml"
    path.write_text(capsys.readouterr().out)
    assert load_recipe(path).optim.lr == 0.2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("no"), 2),
        (TrainingFailed("nan"), 3),
        (Stopped("later"), 75),
        (Stopped("interrupted", INTERRUPTED), 130),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    @command
    def fails(argv: list[str]) -> int:
        raise error

    assert fails([]) == code
    err = capsys.readouterr().err
    assert err.startswith("kerascnn: ")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            PermissionError(errno.EACCES, "Permission denied", b"runs/a\nb"),
            2,
            "runs/a\\nb: Permission denied: choose another place, or",
        ),
        (
            NotADirectoryError(errno.ENOTDIR, "Not a directory", Path("runs/x")),
            2,
            "runs/x: Not a directory: choose another place (",
        ),
        (ConnectionResetError("gone"), 2, "gone (KERASCNN_TRACEBACK=1 shows more)"),
        (
            OSError(errno.ENOSPC, "No space left on device", "runs/x"),
            75,
            "runs/x: No space left on device: make room there; the same",
        ),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 75, "Disk quota exceeded: make room"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_system_refuses_is_one_message(error: OSError, code: int, message: str, capsys, monkeypatch) -> None:
    @command
    def fails(argv: list[str]) -> int:
        raise error

    assert fails([]) == code
    err = capsys.readouterr().err
    assert err.startswith(f"kerascnn: {message}")
    assert err.count("\n") == 1
    monkeypatch.setenv("KERASCNN_TRACEBACK", "1")
    assert fails([]) == code
    assert "Traceback" in capsys.readouterr().err


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fitt"]) == 2
    assert "perhaps you meant 'fit'" in capsys.readouterr().err


# Prints what each help left in memory that no help needs, after those before it: the first that is named loads it.
HELPS = """
import contextlib, io, json, sys
from kerascnn.__main__ import COMMANDS, main
found = {}
for argv in (["--help"], *([name, "--help"] for name in COMMANDS)):
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        code = main(argv)
    heavy = {"tensorflow", "keras", "scipy", "matplotlib", "sklearn"} & {*sys.modules}
    found[" ".join(argv)] = (code, sorted(heavy), shown.getvalue().startswith("usage: kerascnn"))
print(json.dumps(found))
"""


def test_help_loads_no_tensorflow() -> None:
    done = subprocess.run([sys.executable, "-c", HELPS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == 1 + len(COMMANDS)
    assert found == {argv: [0, [], True] for argv in found}
