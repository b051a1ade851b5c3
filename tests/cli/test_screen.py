"""What a command shows where its reader has gone, or is no terminal."""

import gc
import os
import re
import subprocess
import sys

import pytest

from kerascnn.cli.progress import SILENT
from kerascnn.cli.screen import Screen, starting

SPEAKS = """
import sys
from kerascnn.cli.screen import Screen
screen = Screen()
screen.log_to(__import__("pathlib").Path(sys.argv[1]))
for number in range(2000):
    screen.say(f"line {number}")
print("live" if screen.live else "plain", file=sys.stderr)
"""


def test_a_reader_that_goes_away_ends_no_work(tmp_path) -> None:
    """`fit | head -1`: a training goes on, and its log has every line."""
    log = tmp_path / "log.txt"
    command = [sys.executable, "-c", SPEAKS, str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "line 0\n"
        child.stdout.close()
        assert "plain" in child.stderr.read()
    assert child.returncode == 0
    assert len(log.read_text().splitlines()) == 2000


@pytest.mark.parametrize("variables", [{"FORCE_COLOR": "1"}, {"NO_COLOR": "1"}, {}], ids=str)
def test_a_pipe_gets_no_bars(tmp_path, variables) -> None:
    command = [sys.executable, "-c", SPEAKS, str(tmp_path / "log.txt")]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=True)
    assert done.stderr == "plain\n"
    assert done.stdout.splitlines()[-1] == "line 1999"


FIRST = """
import gc
from kerascnn.cli.progress import SILENT
from kerascnn.cli.screen import starting
with starting(SILENT):
    assert not gc.isenabled()
    import tensorflow
assert gc.isenabled()
print(gc.get_freeze_count())
"""


def test_what_an_import_leaves_is_never_looked_through_again() -> None:
    done = subprocess.run([sys.executable, "-c", FIRST], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 100_000


def test_garbage_of_a_caller_that_has_tensorflow_is_collected_as_ever() -> None:
    assert "tensorflow" in sys.modules
    before = gc.get_freeze_count()
    with pytest.raises(KeyError), starting(SILENT):
        raise KeyError
    assert gc.isenabled()
    assert gc.get_freeze_count() == before


def test_names_reach_the_terminal_and_the_log_as_they_are_called(tmp_path, capsys) -> None:
    """Escape sequences are shown and not obeyed, ":cd:" is no picture and "[red]" no color; line breaks stay."""
    screen = Screen()
    screen.log_to(tmp_path / "log.txt")
    screen.say("class \x1b]0;owned\x07\x1b[31mred\nfolder 08:cd:af [red]")
    screen.close()
    said = "class \\x1b]0;owned\\x07\\x1b[31mred\nfolder 08:cd:af [red]"
    assert capsys.readouterr().out == f"{said}\n"
    assert said in (tmp_path / "log.txt").read_text(encoding="utf-8")


SMALL = "fit --arch resnet20 --width 0.25 --blocks 1 1 1 --fraction 0.05 --epochs 1 --warmup 0 --no-export --run run"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_line_of_a_library_is_shown(tmp_path) -> None:
    """Neither TensorFlow's start, retracing and converters, nor Keras' warnings."""
    for module in ("ai_edge_litert", "tf2onnx", "onnxruntime"):
        pytest.importorskip(module, reason="needs the extras litert and onnx")
    environment = {name: value for name, value in os.environ.items() if not name.endswith("MIN_LOG_LEVEL")}
    run = "experiments/runs/run"
    for words in (
        SMALL,
        f"evaluate {run} --explain --tta flip --corruptions",
        f"export {run} --formats savedmodel litert onnx keras --allow-drop 100",
        f"predict {run} {run}/plots",
    ):
        command, *flags = words.split()
        done = subprocess.run(
            [sys.executable, "-m", f"kerascnn.{command}", *flags],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        assert not re.search(r"retrac|absl|fully_quantize|[Ww]arning|cuda|^[WIE]\d{4}", said, re.M), said
        assert command == "predict" or done.stderr == "", done.stderr  # what it says to people goes to standard error
