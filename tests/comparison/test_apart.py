"""A process of its own ends with the one that asked it, however that one ends, and what it does is shown there."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kerascnn.cli.progress import SILENT, Phases
from kerascnn.cli.screen import Screen
from kerascnn.comparison.apart import Apart
from kerascnn.comparison.directory import Directory
from kerascnn.comparison.measure import Cost
from kerascnn.errors import UserError

ASKS = """
import os, time
from kerascnn import cli
from kerascnn.comparison.apart import Apart

@cli.command
def main(argv):
    with Apart() as apart:
        print(apart(os.getpid), flush=True)
        apart(time.sleep, 60)
    return 0

if __name__ == "__main__":
    raise SystemExit(main([]))
"""


def runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 75)])
def test_it_ends_with_its_parent(tmp_path, sent: signal.Signals, code: int) -> None:
    script = tmp_path / "asks.py"
    script.write_text(ASKS)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        assert runs(child)
        start = time.monotonic()
        parent.send_signal(sent)
        assert parent.wait(timeout=30) == code
        while runs(child) and time.monotonic() < start + 30:
            time.sleep(0.05)
        assert not runs(child)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "request = 3\ncells = 3",
        "[request]\n[cells]\na = 1",
        "[request]\n[cells.a]\n",
        "[request]\n[cells.a.cost]\nx = 1",
    ],
)
def test_a_damaged_comparison_is_a_message(tmp_path, text: str) -> None:
    directory = Directory(tmp_path)
    directory.comparison_file.write_text(text)
    with pytest.raises(UserError, match=r"comparison\.toml is damaged"):
        Cost.read(directory.solved({})["a"])


def worked(count: int, phases: Phases = SILENT) -> int:
    with phases.phase("working far away", count) as phase:
        for _ in phase.over(range(count)):
            pass
    return count


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_its_phases_are_shown_here_and_its_death_is_a_message(capsys) -> None:
    screen = Screen(worth=0.0)
    with Apart(screen) as apart:
        assert apart(worked, 3) == 3
        assert apart(len, "four") == 4
        assert not screen.active()
        with pytest.raises(UserError, match="was killed"):
            apart(killed)
    assert "working far away ..." in capsys.readouterr().out
