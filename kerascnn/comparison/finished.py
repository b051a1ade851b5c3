"""Comparison of finished runs: which can be compared, and why others cannot."""

import hashlib
import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerascnn.architectures import own
from kerascnn.cli.escaping import as_file_name, resolved
from kerascnn.cli.screen import Screen
from kerascnn.comparison import network_costs
from kerascnn.comparison.comparison_directory import ComparisonDirectory
from kerascnn.comparison.entry import Entry
from kerascnn.errors import UserError
from kerascnn.runs import Run, identity, shown_command
from kerascnn.scoring.task import SINGLE
from kerascnn.studies.executor import Executor
from kerascnn.studies.measured_cost import Cost


@dataclass(frozen=True)
class RunState:
    """One run as it was found.

    Args:
        run: The run.
        problem: Why it cannot take part; empty if it can.
        val: The headline score of val, such as accuracy, finished or not, or None.
        group: Its config without the seed.
        seed: Its seed, or its fold.
        fingerprint: Fingerprint of its data; empty if it has not begun.
        headline: Title of that score.
    """

    run: Run
    problem: str
    val: float | None = None
    group: str = ""
    seed: int = 0
    fingerprint: str = ""
    headline: str = SINGLE.headline.title


@dataclass(frozen=True)
class FinishedRuns:
    """Runs by what they are, in the order in which they were named.

    Args:
        states: Every run.
        groups: Label to runs by seed: those that can be compared.
    """

    states: tuple[RunState, ...]
    groups: dict[str, dict[int, Run]]

    @property
    def name(self) -> str:
        """Returns a name for the comparison of these runs."""
        names = sorted(run.name for runs in self.groups.values() for run in runs.values())
        labels = as_file_name("_".join(self.groups).replace(" ", "-").replace(",", ""))
        return f"{labels}-{hashlib.sha256(' '.join(names).encode()).hexdigest()[:6]}"

    def lines(self) -> Iterator[str]:
        """Returns the participants, and the other runs with their problems, sorted by val."""
        for label, runs in self.groups.items():
            unit = "folds" if all(run.config().data.fold for run in runs.values()) else "seeds"
            yield f"runs    {label}: {unit} {' '.join(map(str, sorted(runs)))}"
        rest = [state for state in self.states if state.problem]
        for state in sorted(rest, key=lambda state: -(state.val if state.val is not None else -1)):
            val = "no val score" if state.val is None else f"val {state.headline} {state.val:.4f}"
            yield f"left    {state.run.name}: {state.problem} ({val})"

    def entries(
        self, directory: ComparisonDirectory, executor: Executor, screen: Screen, further: dict[str, Any] | None = None
    ) -> list[Entry]:
        """Returns the groups with the costs of their networks, which are measured unless comparison.toml has them.

        Args:
            directory: Keeps the terms and the costs.
            executor: Measures.
            screen: Takes a line.
            further: Further terms of the comparison.
        """
        request = {
            "runs": sorted(run.name for runs in self.groups.values() for run in runs.values()),
            **(further or {}),
        }
        solved = directory.solved(request)
        if solved or not self.groups:
            costs = {label: Cost.read(solved[label]) for label in self.groups}
        else:
            screen.say(
                f"measure inference of {len(self.groups)} networks in turn, latency in {network_costs.PROCESSES} processes"
            )
            costs = self._costs(executor)
        directory.path.mkdir(parents=True, exist_ok=True)
        cells = {label: {"arch": label, "variant": "", "cost": cost.kept()} for label, cost in costs.items()}
        directory.keep(shown_command(), request, cells, request["runs"])
        return [
            Entry(label, "", runs, costs[label], by_folds=all(run.config().data.fold for run in runs.values()))
            for label, runs in self.groups.items()
        ]

    def _costs(self, executor: Executor) -> dict[str, Cost]:
        """Returns costs of inference measured here, and training speed as recorded by the runs."""
        firsts = [next(iter(runs.values())) for runs in self.groups.values()]
        # Where they are now: a run keeps the file of a network that is not one of this package.
        configs = [run.resolved_config().replace(logging={"runs_dir": run.path.parent}) for run in firsts]
        networks = [(c, tuple(run.data()["class_names"])) for c, run in zip(configs, firsts, strict=True)]
        facts = network_costs.inference(networks, executor)
        speeds = [[run.metrics()["images_per_second"] for run in runs.values()] for runs in self.groups.values()]
        return {
            label: Cost(images_per_second=sum(speed) / len(speed), **one)
            for label, one, speed in zip(self.groups, facts, speeds, strict=True)
        }


def gather(paths: list[Path], least: int = 2) -> FinishedRuns:
    """Returns the runs at or below `paths` that can be compared: finished, on the data that most of them share.

    Args:
        paths: Runs, or folders of runs.
        least: The fewest archs.

    Raises:
        UserError: There is no run, or there are no two archs that can be compared; the message has the reasons.
    """
    runs = [run for path in paths for run in _runs_at(path)]
    states = [_state(run) for run in {resolved(run.path): run for run in runs}.values()]
    ready = [state for state in states if not state.problem]
    if ready:
        data = Counter(state.fingerprint for state in ready).most_common(1)[0][0]
        reference = next(state for state in ready if state.fingerprint == data)
        states = [_on_same_data(state, reference) for state in states]
        ready = [state for state in states if not state.problem]
    groups = _labelled(ready)
    found = FinishedRuns(tuple(states), groups)
    if len(groups) < least:
        wanted = "two archs" if least == 2 else "an arch"
        said = "\n".join(f"  {state.run.name}: {state.problem or 'finished'}" for state in states)
        raise UserError(f"expected finished runs of {wanted} on the same data, got {len(groups) or 'none'}:\n{said}")
    return found


def _runs_at(path: Path) -> list[Run]:
    if not path.is_dir():
        raise UserError(f"{path} is not a run: no such directory")
    if (path / "config.toml").is_file():
        return [Run(path)]
    files = sorted(path.glob("*/config.toml"))
    below = [Run(file.parent) for file in files if not file.parent.name.startswith(".")]  # those are being removed
    if not below:
        raise UserError(f"{path} is not a run, and holds none: expected config.toml in it or one level below")
    return below


def _state(run: Run) -> RunState:
    config = run.config()
    rows = run.history()
    headline = run.task.headline
    val = rows[-1].get(headline.column) if rows else None
    if not run.data_file.exists():
        return RunState(run, "not begun", val)
    data = run.data()
    # Runs of folds are paired by fold, others by seed.
    fold = config.data.fold
    pairs_by = "fit.seed" if fold is None else "data.fold"
    differs = {key: value for key, value in identity(config, data["fingerprint"]).items() if key != pairs_by}
    group = json.dumps(differs, sort_keys=True)
    problem = ""
    if not run.finished:
        goes_on = f"python -m kerascnn.fit --config {shlex.quote(str(run.config_file))}"
        problem = f"unfinished, {len(rows)} of {config.fit.epochs} epochs: {goes_on} continues"
    else:
        val = (run.metrics().get("val", {}).get(headline.name) or {}).get("value", val)
    seed = config.fit.seed if fold is None else fold
    return RunState(run, problem, val, group, seed, data["fingerprint"], headline.title)


def _on_same_data(state: RunState, reference: RunState) -> RunState:
    if state.problem or state.fingerprint == reference.fingerprint:
        return state
    mine, theirs = state.run.data(), reference.run.data()
    what = "other data"
    if mine["class_names"] != theirs["class_names"]:
        what = f"other classes ({len(mine['class_names'])} against {len(theirs['class_names'])})"
    elif ("-" in state.fingerprint) != ("-" in reference.fingerprint):  # fingerprints of the content begin with "2-"
        what = "a fingerprint of another version, which covers other facts of its data,"
    problem = f"{what} than {reference.run.name}: {mine['name']} against {theirs['name']}"
    return RunState(state.run, problem, state.val, state.group, state.seed, state.fingerprint)


def _labelled(ready: list[RunState]) -> dict[str, dict[int, Run]]:
    """Returns runs by arch, or by arch and difference if an arch has several configs."""
    groups: dict[str, dict[int, Run]] = {}
    for state in ready:
        groups.setdefault(state.group, {})[state.seed] = state.run
    flats = {group: json.loads(group) for group in groups}
    archs = {group: _arch(next(iter(runs.values()))) for group, runs in groups.items()}
    return {_label(group, flats, archs): runs for group, runs in groups.items()}


def _arch(run: Run) -> str:
    return own.shown(run.config().model.arch)


def _label(group: str, flats: dict[str, dict[str, Any]], archs: dict[str, str]) -> str:
    peers = [other for other in flats if archs[other] == archs[group]]
    keys = sorted({key for peer in peers for key in flats[peer]})
    differ = [key for key in keys if len({json.dumps(flats[peer].get(key)) for peer in peers}) > 1]
    said = [f"{key.partition('.')[2]} {_short(flats[group].get(key, 'default'))}" for key in differ]
    return " ".join([archs[group], *said])


def _short(value: Any) -> Any:
    """Returns a value as a label shows it: of a digest the first digits."""
    return value[:12] if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) else value
