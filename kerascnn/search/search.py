"""A search before its first training: data, space, meaning and cost of candidates, baseline."""

import math
import threading
import time
from typing import Any, NamedTuple

from kerascnn import data, runs, tracking, training
from kerascnn.architectures import own, tables
from kerascnn.architectures.counting import Counted
from kerascnn.cli.escaping import as_file_name, as_output
from kerascnn.cli.screen import Screen, duration
from kerascnn.config.defaults import with_lr
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.data import Splits
from kerascnn.errors import UserError
from kerascnn.processes.fork_server import ForkServer
from kerascnn.runs import Run
from kerascnn.scoring import task as tasks
from kerascnn.search import brackets, candidates, space
from kerascnn.search.candidates import Budget
from kerascnn.search.search_directory import SearchDirectory
from kerascnn.search.space import Space
from kerascnn.search.trial_results import BASELINE, TrialResult
from kerascnn.search.tune_config import TuneConfig
from kerascnn.studies.budget import WIDEST, solve_width
from kerascnn.studies.executor import Executor
from kerascnn.studies.placement import executor_of
from kerascnn.training import resolve

# Number of widths whose latency is measured, each in its own process, and the tolerance below the limit, which is the
# precision of a median of 50 calls.
MEASURED, CLOSE = 8, 0.1
COUNTED = 20  # number of widths to count for each divisor


class TrainedCandidate(NamedTuple):
    """What the files of a candidate's run say.

    Attributes:
        history: One row per epoch.
        latency_ms: The median latency that the search measured, or None.
    """

    history: list[dict[str, float]]
    latency_ms: float | None


class Search:
    """A search: the state that its workers share.

    Args:
        request: The flags.
        screen: Takes lines.
        server: Forks the trainings and measurements, or None.

    Raises:
        UserError: A space that does not fit the arch, data that cannot be loaded, more workers than cores.
    """

    def __init__(self, request: TuneConfig, screen: Screen, server: ForkServer | None = None) -> None:
        self.tune, self.placement, self.screen = request.tune, request.placement, screen
        hours = request.fit.max_hours
        self._end = None if hours is None else time.monotonic() + hours * 3600
        self.splits: Splits = data.load(request.data, data.Room(request.logging.runs_dir, screen.counting), screen)
        if not len(self.splits.val):
            raise UserError("a search chooses by val, and there is none: leave out --val-fraction 0")
        base = resolve(request.config, self.splits).replace(fit={"max_hours": None, "stop_epoch": None})
        # A default learning rate follows from each candidate's own optimizer and batch size.
        self._start = base.replace(optim={"lr": request.optim.lr})
        self.space: Space = space.load(request.tune.space, base)
        self.base = self.config_of({})
        self.column = self.base.fit.monitor if self.tune.objective == "auto" else self.tune.objective
        if self.tune.objective != "auto" and tasks.of_column(self.column):
            self.splits.task.score(self.column.removeprefix("val_"), "--objective")
        self.direction = self.tune.direction(self.column)
        self.budget = Budget(self.tune.max_macs, self.tune.max_params, self.tune.max_latency_ms)
        self.executor: Executor = executor_of(request.placement, screen, server, hours)
        self.directory = SearchDirectory(as_output(self.tune.searches_dir / (self.tune.name or self._name())))
        self.trial_results: dict[str, TrialResult] = {}
        self._costs: dict[str, Counted] = {}
        self._trained: dict[str, tuple[tuple[int, str], TrainedCandidate]] = {}
        self.stop = threading.Event()

    def _name(self) -> str:
        model, dataset = as_file_name(own.shown(self.base.model.arch)), data.short_name(self.base.data.dataset)
        return f"{model}_{dataset}_{self.space.name}_{self.tune.tuner}_s{self.base.fit.seed}"

    @property
    def epochs(self) -> int:
        """Epochs of a whole training."""
        return self.base.fit.epochs

    def seconds_left(self) -> float | None:
        """Returns the rest of --max-hours, which all parts of a start share, or None."""
        return None if self._end is None else self._end - time.monotonic()

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.splits.class_names)

    @property
    def family(self) -> str:
        """The family of the arch: resnet, inception, or own for a function."""
        return tables.family(self.base.model.arch)

    def request(self) -> dict[str, Any]:
        """Returns the terms of this search: a directory with other terms is refused.

        The number of candidates is part of them if it determines the brackets; other searches can be extended.
        """
        tune = self.tune
        asked: dict[str, Any] = {
            "tuner": tune.tuner,
            "objective": self.column,
            "space": self.space.name,
            "parameters": {p.name: str(p) for p in self.space.parameters},
            "fixed": {key: str(value) for key, value in self.space.fixed.items()},
            "identity": {k: str(v) for k, v in runs.identity(self.base, self.splits.fingerprint).items()},
        }
        limits = {"max_macs": tune.max_macs, "max_params": tune.max_params, "max_latency_ms": tune.max_latency_ms}
        asked |= {key: value for key, value in limits.items() if value is not None}
        return asked | ({"trials": tune.trials} if tune.tuner == "hyperband" else {})

    # What values mean and cost: the oracles' constraint

    def config_of(self, values: dict[str, Any]) -> ResolvedConfig:
        """Returns the config of a candidate's run."""
        return with_lr(self.space.apply(self._start, values), self.splits.image_size)

    def key(self, values: dict[str, Any]) -> str:
        """Returns the name of the values' candidate."""
        return candidates.key(self.config_of(values), self.splits.fingerprint)

    def cost(self, config: ResolvedConfig) -> Counted:
        """Returns parameters and multiply-adds."""
        return training.network_cost(config, self.classes)

    # The tables are written after each candidate: what does not change is not counted, and not read from a file server, again.

    def cost_of(self, trial_result: TrialResult) -> Counted:
        """Returns the cost of a candidate's network, counted once."""
        if trial_result.name not in self._costs:
            self._costs[trial_result.name] = self.cost(trial_result.config)
        return self._costs[trial_result.name]

    def trained(self, trial_result: TrialResult) -> TrainedCandidate:
        """Returns what the files of a candidate's run say, read once for each rung that has ended."""
        ended = len(trial_result.scores), trial_result.reason
        known = self._trained.get(trial_result.name)
        if known is not None and known[0] == ended and not trial_result.running:
            return known[1]
        run = self.directory.run(trial_result.name)
        found = TrainedCandidate(run.history(), run.latency_ms())
        if any(ended) and not trial_result.running:
            self._trained[trial_result.name] = ended, found
        return found

    def excess(self, values: dict[str, Any]) -> float:
        """Returns the largest of cost / limit; above 1 the budget is exceeded, infinite if there is no such network."""
        try:
            return self._excess(self.config_of(values))
        except UserError:
            return math.inf

    def _excess(self, config: ResolvedConfig) -> float:
        found = self.budget.excess(self.cost(config))
        if found > 1 or self.budget.latency_ms is None:
            return found
        run = self.prepared(candidates.key(config, self.splits.fingerprint), config)
        return max(found, candidates.latency_ms(run, self.classes, self.executor) / self.budget.latency_ms)

    def prepared(self, name: str, config: ResolvedConfig) -> Run:
        """Returns the prepared run of a candidate."""
        run = self.directory.run(name)
        if not run.config_file.exists():
            run.write_config(self.grouped(config))
        return run

    def grouped(self, config: ResolvedConfig) -> ResolvedConfig:
        """Returns the config of one of its runs with the group that trackers show it in."""
        return config.replace(logging={"track_group": tracking.group_of(config.logging, self.directory.name)})

    def check_smallest(self) -> None:
        """Refuses a budget that is too small for the smallest network of the space.

        Raises:
            UserError: It is; the message has the cost of the smallest network.
        """
        found = self.cost(self.config_of({p.name: p.labels_ends()[0] for p in self.space.parameters if not p.when}))
        limits = (("--max-macs", self.budget.macs, found.macs), ("--max-params", self.budget.params, found.params))
        for flag, limit, least in limits:
            if limit is not None and least > limit:
                raise UserError(
                    f"{flag} {limit:,.0f} cannot be met: the network with the least of every range of {self.space.name}"
                    f" costs {least:,}: raise the budget, or lower the lower ends"
                )

    # The baseline

    def baseline(self) -> ResolvedConfig:
        """The uniformly scaled network: as wide as the budget allows, or with the given width without a budget.

        Raises:
            UserError: Even the narrowest network exceeds the budget.
        """
        found, limit = self._counted(), self.budget.latency_ms
        if limit is None:
            return found
        fits = solve_width(
            lambda width, _: self._latency(found.replace(model={"width": width})),
            limit,
            what=f"milliseconds of {own.shown(self.base.model.arch)}",
            hint="raise --max-latency-ms",
            at_most=True,
            tolerance=CLOSE,
            close=CLOSE,
            divisors=(found.model.width_divisor,),
            start=found.model.width,
            widest=WIDEST if found is self.base else found.model.width,
            tries=MEASURED,
        )
        return found.replace(model={"width": fits.width})

    def _counted(self) -> ResolvedConfig:
        """Returns the baseline by counted costs, or the base itself if no counted cost has a limit."""
        return self._uniform() if self.budget.macs or self.budget.params else self.base

    def _latency(self, config: ResolvedConfig) -> float:
        run = self.prepared(candidates.key(config, self.splits.fingerprint), config)
        return candidates.latency_ms(run, self.classes, self.executor)

    def _uniform(self) -> ResolvedConfig:
        """Returns the widest network within the budget, with the coarsest divisor that comes close to it."""

        def at(width: float, width_divisor: int) -> ResolvedConfig:
            return self.base.replace(model={"width": width, "width_divisor": width_divisor})

        found = solve_width(
            lambda width, width_divisor: self.budget.excess(self.cost(at(width, width_divisor))),
            1.0,
            what=f"budgets of {own.shown(self.base.model.arch)}",
            hint="raise the budget",
            at_most=True,
            tries=COUNTED,
        )
        return at(found.width, found.width_divisor)

    # The plan

    @property
    def told(self) -> bool:
        """Whether an earlier start has results, so that the plan was shown then."""
        return self.directory.recipe_file.exists()

    def rungs(self) -> list[int]:
        """Returns the epochs of the rungs, ascending."""
        return sorted({until for bracket in self.brackets() for _, until in bracket})

    def brackets(self) -> list[list[tuple[int, int]]]:
        """Returns the (candidates, epochs) of the rungs of each bracket."""
        return brackets.planned(self.tune.tuner, self.tune.trials, self.epochs)

    def seconds(self) -> tuple[float, float]:
        """Returns the seconds of an epoch of the baseline, measured or from a few steps, and of the start of its process."""
        rows = self.directory.run(BASELINE).history()
        with self.screen.phase("timing the uniform network's start and steps"):
            begun = time.monotonic()
            epoch, warm = self.executor.call(candidates.measured_speed, self._counted(), slot=self.executor.slots[0])
            start = time.monotonic() - begun - warm
        return sum(row["seconds"] for row in rows) / len(rows) if rows else epoch, start

    def plan(self, epoch: float, start: float) -> list[str]:
        """Returns the brackets with their epochs, and the expected time, as lines.

        Args:
            epoch: Seconds of an epoch of the baseline.
            start: Seconds from the start of its process until the first epoch, as in `seconds`.
        """
        lines, starts, total = [], 1, self.epochs
        for number, bracket in enumerate(self.brackets(), 1):
            before, epochs = 0, 0
            for size, until in bracket:
                epochs, before, starts = epochs + size * (until - before), until, starts + size
            total += epochs
            rungs = ", then the best ".join(f"{size} to epoch {until}" for size, until in bracket)
            lines.append(f"bracket {number:>2}  {rungs}  ({epochs} epochs)")
        seconds = (total * epoch + starts * start) / self.placement.workers
        workers = f"{self.placement.workers} workers" if self.placement.workers > 1 else "one worker"
        lines.append(
            f"in all      {total} epochs with the baseline's {self.epochs}, {starts} starts: about {duration(seconds)}"
            f" of {workers}, at the uniform network's speed"
        )
        if self.tune.promote:
            judged, chosen = (self.tune.promote + 1) * self.tune.seeds, self.tune.promote * self.tune.choose_seeds
            each = self.epochs * epoch + start
            more = (judged + chosen) * each / self.placement.workers
            lines.append(
                f"promote     {judged} retrainings with {self.tune.seeds} fresh seeds that judge, {chosen} with"
                f" {self.tune.choose_seeds} others that name the winner: about {duration(more)} more"
            )
        return lines
