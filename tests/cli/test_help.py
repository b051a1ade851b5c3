"""`--help` of every command: the common flags first, every flag once, defaults and bounds once."""

import re

import pytest

from kerascnn.__main__ import COMMANDS, main
from kerascnn.cli.help import COMMON
from kerascnn.config import Config
from tests.cli.test_flags import SCHEMAS, named

WHOLE = [name for name, schema in SCHEMAS.items() if issubclass(schema, Config)]
DECIDED = {
    "audit": {"--fold"},
    "compare": {"--arch", "--seed", "--run", "--width-divisor", "--filters", "--overwrite", "--stop-epoch"},
    "verify": {"--run", "--overwrite", "--stop-epoch"},
    "tune": {"--run", "--overwrite", "--stop-epoch", "--runs-dir", "--patience"},
}


def told(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(argv) == 0
    return capsys.readouterr().out


def shown(text: str) -> list[str]:
    """The flags of a help, in its order."""
    found = re.findall(r"^  (--[\w\[\]-]+)", text, flags=re.MULTILINE)
    return [flag.replace("[no-]", "") for flag in found]


def entry(text: str, flag: str) -> str:
    """The text of one flag's entry, on one line."""
    found = re.search(rf"^  {re.escape(flag)}(?: .*)?(?:\n {{26}}.*)*", text, flags=re.MULTILINE)
    assert found is not None
    return re.sub(r"\s+", " ", found[0])


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("columns", ["80", "60", "300"])
def test_help_fits_the_terminal(command: str, columns: str, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    longest = max(len(line) for line in told(capsys, command, "--help-all").splitlines())
    assert longest <= min(int(columns), 100)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_all_has_every_flag_once(command: str, capsys) -> None:
    flags = shown(told(capsys, command, "--help-all"))
    assert len(flags) == len(set(flags))
    expected = {flag.name for flag in named(SCHEMAS[command])} - DECIDED.get(command, set())
    assert set(flags) - {"--config", "--print-config", "--help-all"} == expected


@pytest.mark.parametrize("command", WHOLE)
def test_common_flags_come_first_and_the_rest_only_with_help_all(command: str, capsys) -> None:
    text = told(capsys, command, "--help")
    common = [flag for flag in COMMON if flag not in DECIDED.get(command, set())]
    assert shown(text)[: len(common)] == common
    assert "--momentum" not in text
    assert "--momentum" in told(capsys, command, "--help-all")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_default_and_a_bound_stand_once(command: str, capsys) -> None:
    text = told(capsys, command, "--help-all")
    assert "None" not in text
    for flag in shown(text):
        said = entry(text, flag) if f"  {flag}" in text else entry(text, f"--[no-]{flag[2:]}")
        assert len(re.findall(r"[(\[; ]default: ", said)) <= 1, said
        assert len(re.findall(r"[<>]=? ", said)) <= 2, said


def test_an_entry_says_what_a_flag_takes(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    text = told(capsys, "fit", "--help-all")
    assert entry(text, "--momentum") == " --momentum X momentum of sgd, muon and rmsprop [>= 0, < 1; default: 0.9]"
    assert entry(text, "--dropout") == " --dropout X dropout before the logits (default: the paper's) [>= 0, < 1]"
    assert entry(text, "--export".replace("--", "--[no-]")).endswith("export a SavedModel at the end [default: on]")
    assert entry(text, "--jit").startswith(" --jit {auto,on,off} ")
    assert entry(text, "--filters").startswith(" --filters NAME N ... ")
    assert "any of auto, none, flip" in entry(text, "--augment")


def test_help_shows_the_defaults_of_a_recipe(capsys) -> None:
    assert entry(told(capsys, "fit", "--config", "quick", "--help"), "--epochs").endswith("[>= 1; default: 3]")


@pytest.mark.parametrize(
    ("command", "flag"), [(name, flag) for name, flags in DECIDED.items() for flag in sorted(flags)]
)
def test_flags_that_a_command_decides_are_answered(command: str, flag: str, capsys) -> None:
    assert main([command, flag, "1"]) == 2
    assert capsys.readouterr().err.startswith(f"kerascnn: {flag}: ")
