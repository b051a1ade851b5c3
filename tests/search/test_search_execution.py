"""A search that is cut anywhere goes on to the same end; what it leaves. Candidates are trained already: see make_search."""

import csv
import json
import math
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from kerascnn.cli.recipes import load_recipe
from kerascnn.errors import UserError
from kerascnn.search import front, narrowing, results
from kerascnn.search.search import Search
from kerascnn.search.search_directory import Journal, SearchDirectory
from kerascnn.search.search_execution import Execution
from kerascnn.search.trial_results import BASELINE, candidates, ranked
from kerascnn.studies.executor import ChildLost
from kerascnn.studies.executors.local import LocalExecutor
from tests.search import make_search
from tests.studies.doomed import doom

pytestmark = pytest.mark.training


def run(search: Search) -> list[dict]:
    """Everything to its end; the events of the journal."""
    Execution(search, after=lambda: None).run(lambda: None)
    return Journal(search.directory.journal_file).events()


def cut_in_half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def tear_last_line(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


DAMAGES: list[Callable[[Path], object]] = [
    cut_in_half,
    tear_last_line,
    lambda file: file.write_bytes(b""),
    lambda file: file.unlink(),
    lambda file: file.write_bytes(b"\x00" * 99),
]


@pytest.mark.parametrize(
    ("tuner", "trials"),
    [
        ("random", 6),
        ("grid", 6),
        ("hyperband", 9),
        ("bayesian", 3),
        pytest.param("bayesian", 6, marks=pytest.mark.slow),  # beyond its first points a process is fitted each time
    ],
)
def test_whatever_is_damaged_the_same_candidates_come_out(tmp_path: Path, tuner: str, trials: int) -> None:
    calm = make_search.search(tmp_path, tuner, trials=trials)
    make_search.train_all(calm)
    events = run(calm)
    assert len(candidates(calm.trial_results)) == trials
    assert sum(event["event"] == "began" for event in events) == (13 if tuner == "hyperband" else trials)
    for damage in DAMAGES if tuner == "random" else DAMAGES[:2]:  # all of them read the same two files
        for file in (calm.directory.journal_file, calm.directory.journal_file.with_name("oracle.json")):
            damage(file)
        again = make_search.search(tmp_path, tuner, trials=trials)
        assert run(again) == events
        assert again.trial_results.keys() == calm.trial_results.keys()
        assert [o.scores for o in again.trial_results.values()] == [o.scores for o in calm.trial_results.values()]
    json.loads(calm.directory.journal_file.with_name("oracle.json").read_text())
    shutil.rmtree(calm.directory.journal_file.parent)
    assert run(make_search.search(tmp_path, tuner, trials=trials)) == events


def few(folder: Path, *flags: str) -> Search:
    """A search of three candidates out of four."""
    space = make_search.SPACE.replace("choices = [4, 8]", "choices = [4]").replace("max = 16", "max = 8")
    return make_search.search(folder, "grid", *flags, trials=3, space=space)


def untrained(search: Search, aside: Path) -> str:
    """Move a candidate's directory to `aside` after a whole search; its name."""
    make_search.train_all(search)
    run(search)
    name = candidates(search.trial_results)[1].name
    shutil.move(search.directory.run(name).path, aside)
    return name


@pytest.mark.parametrize(("code", "starts"), [(75, 2), (1, 2), (-signal.SIGKILL, 1)])
def test_a_full_disk_or_a_kill_stops_the_search_and_is_no_candidates_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, starts: int
) -> None:
    calm = few(tmp_path)
    name = untrained(calm, tmp_path / "aside")
    events = Journal(calm.directory.journal_file).events()
    with monkeypatch.context() as patch:
        doom(tmp_path, code, patch)
        for _ in range(starts):
            cut = few(tmp_path)
            with pytest.raises(ChildLost, match=r"everything is kept.* the same command continues"):
                run(cut)
            assert cut.trial_results[name].reason == ""
    shutil.rmtree(calm.directory.run(name).path)
    shutil.move(tmp_path / "aside", calm.directory.run(name).path)  # as if it were trained now
    again = few(tmp_path)
    assert [event for event in run(again) if event["event"] != "lost"] == events
    assert again.trial_results[name].scores == calm.trial_results[name].scores


def test_who_is_killed_again_where_it_was_killed_fails_and_the_search_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = untrained(few(tmp_path), tmp_path / "aside")
    with monkeypatch.context() as patch:
        doom(tmp_path, -signal.SIGKILL, patch)
        with pytest.raises(ChildLost):
            run(few(tmp_path))
        run(few(tmp_path))
    again = few(tmp_path)
    assert [event["event"] for event in run(again)].count("ended") == 3
    assert again.trial_results[name].reason.startswith(f"twice after 0 epochs: run {name} was killed by SIGKILL")
    assert sum(bool(trial_result.reason) for trial_result in again.trial_results.values()) == 1


def test_a_score_that_is_no_number_fails_the_candidate_alone(tmp_path: Path) -> None:
    search = few(tmp_path, "--objective", "val_loss")
    make_search.train_all(search)
    first = search.key({"filters.stage1": 4, "filters.stage2": 4, "optim.lr": 0.05})
    search.directory.run(first).write_history([{"epoch": 1, "val_accuracy": 0.1, "val_loss": math.nan}])
    run(search)
    assert [bool(one.reason) for one in candidates(search.trial_results)] == [True, False, False]
    assert "no epoch of" in search.trial_results[first].reason


def test_two_workers_find_what_one_does(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    one, two = make_search.search(tmp_path / "a", "random"), make_search.search(tmp_path / "b", "random")
    two.executor = LocalExecutor(2 * two.executor.slots)
    for search in (one, two):
        make_search.train_all(search)
        run(search)
    assert one.trial_results.keys() == two.trial_results.keys()


@pytest.fixture
def finished(tmp_path: Path) -> Search:
    (tmp_path / "mine").mkdir()
    search = make_search.search(tmp_path / "mine", "hyperband", trials=9)
    make_search.train_all(search)
    run(search)
    results.keep(search, whole=True)
    return search


def test_what_is_left(finished: Search) -> None:
    with finished.directory.trials_file.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["candidate"] for row in rows[::10]] == [BASELINE, results.CORRELATION]
    best = ranked(finished.trial_results, finished.direction)[0]
    assert rows[1]["candidate"] == best.name
    assert rows[1]["status"] == "whole"
    assert float(rows[1]["val_accuracy@9"]) == pytest.approx(best.score)
    assert rows[2]["status"] == "stopped early"
    assert float(rows[10]["val_accuracy@1"]) == 1  # every epoch ranks these alike
    assert len({row["candidate"] for row in rows}) == 11
    config = load_recipe(finished.directory.recipe_file)
    assert config.model.filters == best.config.model.filters
    assert (config.fit.epochs, config.optim.lr, config.model.shortcut) == (9, best.config.optim.lr, "B")
    said = "\n".join(results.lines(finished))
    assert "optimistic" in said
    assert "0 failed" in said
    assert finished.directory.picture_file.read_bytes().startswith(b"\x89PNG")
    with finished.directory.importance_file.open(newline="") as file:
        mattered = {row["parameter"]: float(row["importance"]) for row in csv.DictReader(file)}
    assert max(mattered.values()) > 0
    assert {"macs", "filters.stage1"} <= mattered.keys()
    assert "epochs" not in mattered  # who was stopped early is not bad for a filter count
    assert not [name for name in finished.trial_results if any(finished.directory.run(name).checkpoints.glob("*"))]


def test_the_front_of_both_families_and_of_comparable_searches_only(finished: Search, tmp_path: Path) -> None:
    other = tmp_path / "mine" / "searches" / "two"
    shutil.copytree(finished.directory.path, other)
    found = front.points(finished)
    assert [len(points) for points in found.values()] == [
        2 * sum(row["status"] == "whole" for row in results.rows(finished) if "status" in row)
    ]
    text = SearchDirectory(other).terms_file.read_text()
    SearchDirectory(other).terms_file.write_text(text.replace('"fit.epochs" = "9"', '"fit.epochs" = "8"'))
    assert sum(len(points) for points in front.points(finished).values()) == len(found["resnet"]) // 2


def test_the_directory_of_another_search_is_refused_with_what_differs(finished: Search, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"search one exists on other terms:\n(?s:.*)tuner: hyperband there, random asked for"
    ):
        make_search.search(tmp_path / "mine", "random")
    with pytest.raises(UserError, match=r"identity fit\.seed: nothing there, 3 asked for"):
        make_search.search(tmp_path / "mine", "hyperband", "--seed", "3", trials=9)
    killed = SearchDirectory(tmp_path / "killed")
    killed.path.mkdir()
    (killed.path / ".search.toml.4711.aside").touch()  # it was killed in its first write
    killed.claim({})
    assert killed.terms_file.exists()
    (tmp_path / "other" / "searches" / "one" / "photos").mkdir(parents=True)
    with pytest.raises(UserError, match="is not a search"):
        make_search.search(tmp_path / "other", "random")
    with (
        finished.directory.lock(),
        pytest.raises(UserError, match="search one is in use by process"),
        finished.directory.lock(),
    ):
        pass


def test_the_baseline_is_as_wide_as_the_budget_lets_it_be(tmp_path: Path) -> None:
    search = make_search.search(tmp_path, "random", "--max-macs", "5e6", "--max-params", "1e6")
    cost = search.cost(search.baseline())
    assert 0.98 * 5e6 <= cost.macs <= 5e6
    assert search.baseline().model.filters == {}
    assert search.baseline().model.shortcut == "B"
    poor = make_search.search(tmp_path, "random", "--name", "two", "--max-macs", "9e5")
    with pytest.raises(UserError, match=r"--max-macs 900,000 cannot be met: .* costs 14,021,248"):
        poor.check_smallest()


def test_narrowing_names_what_drives_the_cost() -> None:
    missed = [({"a": a, "b": b, "c": "x"}, a * a + b) for a in range(1, 9) for b in range(3)]
    assert narrowing.first(missed).startswith(", first a, now 1 to 8: it drives the cost most; the cheapest tenth")
    assert narrowing.first(missed[:3]) == ""
