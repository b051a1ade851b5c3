"""Completion is installed where shells look for it, and completes in the shells themselves."""

import shutil
import subprocess
from pathlib import Path

import pytest

from kerascnn import completion
from kerascnn.__main__ import COMMANDS, main
from kerascnn.errors import DONE, USER_ERROR

ABOUT = {name: text for name, (_, text) in COMMANDS.items()}


def test_every_command_is_known() -> None:
    assert completion.SCHEMAS.keys() == COMMANDS.keys()


@pytest.mark.parametrize(
    ("shell", "variables", "path"),
    [
        ("bash", {"HOME": "/h"}, "/h/.local/share/bash-completion/completions/kerascnn"),
        ("bash", {"HOME": "/h", "XDG_DATA_HOME": "/d"}, "/d/bash-completion/completions/kerascnn"),
        ("bash", {"HOME": "/h", "BASH_COMPLETION_USER_DIR": "/b"}, "/b/completions/kerascnn"),
        ("zsh", {"HOME": "/h"}, "/h/.local/share/zsh/site-functions/_kerascnn"),
        ("fish", {"HOME": "/h", "XDG_CONFIG_HOME": "/c"}, "/c/fish/completions/kerascnn.fish"),
    ],
)
def test_where_a_shell_looks(shell: str, variables: dict[str, str], path: str) -> None:
    assert completion.place(shell, variables) == Path(path)


def test_it_is_written_for_the_shell_of_this_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "BASH_COMPLETION_USER_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert main(["--install-completion"]) == DONE
    file = completion.place("fish", {"HOME": str(tmp_path)})
    assert f"wrote {file}" in capsys.readouterr().out
    assert file.read_text(encoding="utf-8") == completion.script("fish", ABOUT)


@pytest.mark.parametrize(
    "words", [["--install-completion", "zsch"], ["--print-completion"], ["--print-completion", "csh"]]
)
def test_mistakes(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == USER_ERROR
    assert "bash, zsh, fish" in capsys.readouterr().err


def test_bash_completes(tmp_path: Path) -> None:
    """As readline does: the function of the program is called with the words that were typed."""
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    file = tmp_path / "kerascnn"
    file.write_text(completion.script("bash", ABOUT), encoding="utf-8")

    def completed(*words: str) -> set[str]:
        typed = " ".join(f"'{word}'" for word in words)
        code = (
            f". {file}; COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1};"
            " f=$(complete -p kerascnn | sed 's/.*-F \\([^ ]*\\) .*/\\1/'); $f; printf '%s\\n' \"${COMPREPLY[@]}\""
        )
        ran = subprocess.run(["bash", "--norc", "-c", code], capture_output=True, text=True, check=True)
        assert not ran.stderr
        return set(ran.stdout.split())

    assert completed("kerascnn", "ev") == {"evaluate"}
    assert completed("kerascnn", "fit", "--batch-s") == {"--batch-size"}
    assert completed("kerascnn", "fit", "--schedule", "cos") == {"cosine"}
    assert "resnet50" in completed("kerascnn", "fit", "--arch", "resnet5")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_read_it(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")
    file = tmp_path / "script"
    file.write_text(completion.script(shell, ABOUT), encoding="utf-8")
    assert not subprocess.run([shell, "-n", str(file)], capture_output=True, text=True, check=True).stderr
