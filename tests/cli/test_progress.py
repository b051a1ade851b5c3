"""Phases: what is said of them in a log, what a terminal draws, and what a parent hears of its child's."""

import io
import os
import threading

import pytest

from kerascnn.cli.progress import SILENT, Mirror, Phase, Phases, Relay, to_descriptor
from kerascnn.cli.screen import Screen


class Kept(Phases):
    """Keeps the phases that were opened, for tests of those who work."""

    def __init__(self) -> None:
        self.opened: list[Phase] = []

    def phase(self, name: str, total: float | None = None, *, told: bool = True) -> Phase:
        self.opened.append(SILENT.phase(name, total, told=told))
        return self.opened[-1]

    @property
    def names(self) -> list[str]:
        return [phase.name for phase in self.opened]


@pytest.fixture
def screen(tmp_path):
    """A screen without patience, whose log is in tmp_path/log.txt."""
    shown = Screen(worth=0.0, again=0.0)
    shown.log_to(tmp_path / "log.txt")
    yield shown
    shown.close()


def lines(tmp_path) -> list[str]:
    """The log's lines without their times."""
    return [line.split("  ", 1)[1].strip() for line in (tmp_path / "log.txt").read_text().splitlines()]


def test_a_log_has_the_start_the_way_and_the_end_of_a_phase(screen, tmp_path, capsys) -> None:
    with screen.phase("decoding", 8) as phase:
        screen.look()
        phase.advance(2)
        screen.look()
    said = lines(tmp_path)
    assert said[0] == "decoding ..."
    assert "decoding: 0 of 8" in said
    assert [line for line in said if line.startswith("decoding: 2 of 8, ") and line.endswith(" left")]
    assert said[-1].startswith("decoding: ")
    assert said[-1].endswith(" s")
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == said


def test_a_short_phase_says_nothing_and_a_failing_one_ends(tmp_path, capsys) -> None:
    shown = Screen()
    with shown.phase("listing"):
        shown.look()
    with pytest.raises(KeyError), shown.phase("failing"):
        raise KeyError
    assert capsys.readouterr().out == ""
    assert not shown.active()


def test_only_the_innermost_phase_of_each_thread_speaks(screen, tmp_path) -> None:
    outer = screen.phase("epoch 1", 4, told=False)
    inner = screen.phase("compiling")
    others: list[Phase] = []
    elsewhere = threading.Thread(target=lambda: others.append(screen.phase("a child's")))
    elsewhere.start()
    elsewhere.join()
    assert {phase.name for phase in screen.innermost().values()} == {"compiling", "a child's"}
    inner.end()
    others[0].end()
    assert "epoch 1" in {phase.name for phase in screen.innermost().values()}
    outer.end()
    assert "epoch 1" not in " ".join(lines(tmp_path))


def test_time_left_follows_from_the_speed_since_the_mark(monkeypatch) -> None:
    clock = iter([0.0, 100.0, 101.0, 102.0])
    monkeypatch.setattr("kerascnn.cli.progress.time.monotonic", lambda: next(clock))
    phase = SILENT.phase("epoch 1", 10)
    phase.reach(4)  # of which an earlier start has done some, and one was compiled
    phase.mark()
    assert phase.left is None
    phase.reach(5)
    assert phase.left == pytest.approx(5.0)


def test_a_watched_phase_advances_between_two_reports() -> None:
    count = [0]
    phase = SILENT.phase("epoch 1", 3)
    phase.watch(lambda: count[0])
    seen = []
    for count[0] in range(5):
        seen.append(phase.done)
    assert seen == [0, 1, 2, 3, 3]


def test_a_terminal_draws_a_bar_that_advances(monkeypatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout", terminal)
    shown = Screen()
    assert shown.live
    with shown.phase("odd [red] :cd: name", 3) as phase:
        for done in (1, 2, 3):
            phase.reach(done)
            shown.look()
    drawn = terminal.getvalue()
    assert "odd [red] :cd: name" in drawn
    assert [f"{done}/3" in drawn for done in (1, 2, 3)] == [True, True, True]


def test_a_parent_shows_its_childs_phases_and_survives_a_full_pipe(capsys) -> None:
    read, write = os.pipe()
    os.set_blocking(read, False)
    child = Relay(to_descriptor(write))
    parent = Kept()
    mirror = Mirror(parent, "run_s0")
    with child.phase("epoch 1", 4, told=False) as phase:
        phase.reach(1)
        child.look()
        mirror.read(read)
        assert parent.names == ["run_s0: epoch 1"]
        assert (parent.opened[0].done, parent.opened[0].total, parent.opened[0].told) == (1, 4, False)
        for _ in range(3000):  # more than a pipe holds: what is lost is lost, and nobody waits
            child.look()
    mirror.read(read)
    mirror.read(read)
    mirror.end()
    os.close(read)
    with child.phase("scoring"):  # the parent has gone
        pass
    os.close(write)
