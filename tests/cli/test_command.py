"""The boundary of every command: nothing swallows a stop, every expected error is one message, streams may be odd."""

import ast
import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tensorflow as tf

from kerascnn import errors
from kerascnn.cli.command import command, ending
from tests.sources import FILES, name, nodes

WITH_HANDLERS = [path for path in FILES if "signal.signal(" in path.read_text(encoding="utf-8")]
# Threads hand everything to the one that waits for them; the last lines of a forked process make an exit code of it.
HANDED_ON = {
    ("studies/workers.py", "_one"),
    ("studies/executors/local.py", "call"),
    ("processes/serving.py", "_become"),
    ("processes/serving.py", "_run"),
}


def handlers(path: Path) -> Iterator[tuple[str, ast.ExceptHandler]]:
    """Every `except` that takes a stop too, with the function that it stands in."""
    for function in nodes(path):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.ExceptHandler):
                    names = (
                        {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)} if node.type else {""}
                    )
                    if names & {"", "BaseException"}:
                        yield function.name, node


def test_what_catches_a_stop_raises_it_again() -> None:
    for path in FILES:
        for function, node in handlers(path):
            if (name(path), function) not in HANDED_ON:
                last = node.body[-1]
                assert isinstance(last, ast.Raise), f"{name(path)}:{node.lineno}: {function} may swallow a stop"
                assert last.exc is None, f"{name(path)}:{node.lineno}: {function} makes another error of a stop"


@pytest.mark.parametrize("path", WITH_HANDLERS, ids=name)
def test_what_a_signals_handler_raises_is_no_exception(path: Path) -> None:
    """`except Exception` around a parser or a loader must not take it for a damaged file."""
    calls = [node for node in nodes(path) if isinstance(node, ast.Call) and ast.unparse(node.func) == "signal.signal"]
    functions = [node for node in nodes(path) if isinstance(node, ast.FunctionDef)]
    returned = {function.name: ast.unparse(function.returns) for function in functions if function.returns}
    named = {argument.id for call in calls for argument in call.args if isinstance(argument, ast.Name)}
    for function in functions:
        if function.name in named:
            raised = [node.exc for node in ast.walk(function) if isinstance(node, ast.Raise) and node.exc is not None]
            for error in raised:
                kind = ast.unparse(error.func if isinstance(error, ast.Call) else error).rpartition(".")[2]
                kind = returned.get(kind, kind)
                assert kind in ("Stopped", "KeyboardInterrupt"), f"{name(path)}: a handler raises {kind}"
    assert not issubclass(errors.Stopped, Exception)


@pytest.mark.parametrize("library", ["swallows Exception", "makes an error of everything", "none"])
def test_sigterm_within_a_library_ends_the_command(library: str, capsys: pytest.CaptureFixture[str]) -> None:
    @command
    def stopped(argv: list[str]) -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Exception:
            if library == "swallows Exception":
                return 0
        except BaseException:
            if library == "makes an error of everything":
                raise RuntimeError("cannot be loaded") from None
            raise
        return 0

    assert stopped([]) == 75
    assert capsys.readouterr().err == "kerascnn: stopped by SIGTERM: the same command continues from what is kept\n"


class Dying:
    """Python drops what is raised within a destructor."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


def _in_a_destructor() -> None:
    with contextlib.suppress(AttributeError):
        Dying().missing  # noqa: B018


def _by_a_bare_handler() -> None:
    with contextlib.suppress(BaseException):
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("swallows", [_in_a_destructor, _by_a_bare_handler], ids=lambda function: function.__name__)
def test_a_stop_that_was_swallowed_comes_again(swallows: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Once only: what is cleaned away on the way out is not interrupted."""
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: None)  # pytest's keeps the exception
    cleaned: list[str] = []

    @command
    def works_on(argv: list[str]) -> int:
        swallows()
        try:
            threading.Event().wait(60)
        finally:
            time.sleep(0.3)
            cleaned.append("all")
        return 0

    before = signal.getsignal(signal.SIGTERM)
    assert works_on([]) == 75
    assert cleaned == ["all"]
    assert signal.getsignal(signal.SIGTERM) is before


def no_space(text: str, kind: type[Exception] = OSError) -> Exception:
    return kind(text)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            tf.errors.ResourceExhaustedError(None, None, "/exports/1/variables/part; No space left on device"),
            75,
            "/exports/1/variables/part: No space left on device: make room there",
        ),
        (
            tf.errors.PermissionDeniedError(None, None, "/exports/1/x; Read-only file system"),
            2,
            "/exports/1/x: Read-only file system: choose another place",
        ),
        (
            OSError("Can't write data (file write failed: errno = 28, error message = 'x')"),
            75,
            "No space left on device",
        ),
        (OSError("1024 requested and 0 written"), 75, "No space left on device"),
        (RuntimeError("Unable to flush file: No space left on device"), 75, "No space left on device"),
        (OSError(errno.ESTALE, "Stale file handle", "/share/x.jpg"), 75, "/share/x.jpg: Stale file handle: once that"),
        (
            FileNotFoundError(2, "No usable temporary directory found in ['/tmp']"),
            2,
            "there is no folder for temporary files: set TMPDIR to a writable folder",
        ),
        (OSError(errno.EIO, "Input/output error"), 75, "Input/output error: once that is fixed"),
        (tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"), 3, "out of memory: a smaller"),
        (MemoryError(), 3, "out of memory: a smaller --batch-size or --image-size needs less (MemoryError)"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_libraries_tell_in_words_is_the_systems_refusal(
    error: Exception, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    @command
    def fails(argv: list[str]) -> int:
        raise error

    assert fails([]) == code
    said = capsys.readouterr().err
    assert said.startswith(f"kerascnn: {message}")
    assert said.count("\n") == 1


def test_a_fault_of_this_program_stays_a_traceback() -> None:
    assert ending(KeyError("place")) is None
    assert ending(ValueError("expected a config")) is None


def run(command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables, "PYTHON": sys.executable}
    return subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.training
@pytest.mark.parametrize(
    ("command", "code"),
    [
        ('"$PYTHON" -m kerascnn.fit --print-config >&-', 0),
        ('"$PYTHON" -m kerascnn.fit --print-config 2>&-', 0),
        ('"$PYTHON" -m kerascnn.fit --print-config <&- >&- 2>&-', 0),
        ('"$PYTHON" -m kerascnn.fit --lr -1 <&- 2>&-', 2),
        ('set -o pipefail; "$PYTHON" -m kerascnn.fit --help | true', 0),
        ('set -o pipefail; "$PYTHON" -m kerascnn --help | true', 0),
        ('"$PYTHON" -m kerascnn.fit --print-config > /dev/full', 75),
        ("\"$PYTHON\" -m kerascnn.fit --dataset 'höhe/\u2603' 2>&1", 2),
    ],
)
def test_odd_streams(command: str, code: int) -> None:
    done = run(command, PYTHONIOENCODING="ascii")
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "Exception ignored" not in done.stdout + done.stderr
