"""A search before its first training: the data, the space, what a candidate means and costs, the baseline."""

import math
import threading
import time
from typing import Any

from kerascnn import data, runs, training
from kerascnn.architectures import tables
from kerascnn.architectures.counting import Counted
from kerascnn.cli.screen import Screen, duration
from kerascnn.config.defaults import with_lr
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.data import Splits
from kerascnn.errors import UserError
from kerascnn.runs import Run
from kerascnn.search import brackets, candidates, space
from kerascnn.search.candidates import Budget
from kerascnn.search.directory import SearchDirectory
from kerascnn.search.options import Request
from kerascnn.search.outcomes import BASELINE, Outcome
from kerascnn.search.space import Space
from kerascnn.studies import slots
from kerascnn.studies.budget import WIDEST, solve_width
from kerascnn.studies.executor import Executor
from kerascnn.studies.executors.local import LocalExecutor
from kerascnn.training import resolve

# Widths of which latency is measured, each in a process of its own, and how close below the limit is close enough: a median of
# 50 calls is not known better.
MEASURED, CLOSE = 8, 0.1
COUNTED = 20  # widths that are counted for each divisor


class Search:
    """One search: what its workers share.

    Args:
        request: The flags.
        screen: Where lines go.

    Raises:
        UserError: A space that does not fit the arch, data that cannot be loaded, more workers than cores.
    """

    def __init__(self, request: Request, screen: Screen) -> None:
        self.tune, self.screen = request.tune, screen
        hours = request.fit.max_hours
        self._end = None if hours is None else time.monotonic() + hours * 3600
        self.splits: Splits = data.load(request.data, data.Room(request.logging.runs_dir, screen.counting), screen)
        if not len(self.splits.val):
            raise UserError("a search chooses by val, and there is none: leave out --val-fraction 0")
        base = resolve(request.config, self.splits).replace(fit={"max_hours": None, "stop_epoch": None})
        # A rate that nobody gave follows from each candidate's own optimizer and batch size.
        self._start = base.replace(optim={"lr": request.optim.lr})
        self.space: Space = space.load(request.tune.space, base)
        self.base = self.config_of({})
        self.column = self.base.fit.monitor if self.tune.objective == "auto" else self.tune.objective
        self.direction = self.tune.direction(self.column)
        self.budget = Budget(self.tune.max_macs, self.tune.max_params, self.tune.max_latency_ms)
        self.executor: Executor = LocalExecutor(slots.shared_out(self.tune.workers), screen)
        self.directory = SearchDirectory(self.tune.searches_dir / (self.tune.name or self._name()))
        self.outcomes: dict[str, Outcome] = {}
        self.stop = threading.Event()

    def _name(self) -> str:
        model, dataset = self.base.model.arch, data.short_name(self.base.data.dataset)
        return f"{model}_{dataset}_{self.space.name}_{self.tune.tuner}_s{self.base.fit.seed}"

    @property
    def epochs(self) -> int:
        """Of a whole training."""
        return self.base.fit.epochs

    def seconds_left(self) -> float | None:
        """Of --max-hours, which all that one start does shares; None where time does not matter."""
        return None if self._end is None else self._end - time.monotonic()

    @property
    def classes(self) -> int:
        """Of the data set."""
        return len(self.splits.class_names)

    @property
    def family(self) -> str:
        """resnet or inception."""
        return tables.row(self.base.model.arch).family

    def request(self) -> dict[str, Any]:
        """What makes this search this search: another one in its directory is refused.

        The number of candidates belongs to it where it shapes the brackets; other searches may be prolonged.
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
        """The config of a candidate's run."""
        return with_lr(self.space.apply(self._start, values), self.splits.image_size)

    def key(self, values: dict[str, Any]) -> str:
        """Which candidate they mean."""
        return candidates.key(self.config_of(values), self.splits.fingerprint)

    def cost(self, config: ResolvedConfig) -> Counted:
        """Parameters and multiply-adds."""
        return training.network_cost(config, self.classes)

    def excess(self, values: dict[str, Any]) -> float:
        """The largest of cost / limit; above 1 they exceed the budget, infinite where there is no such network."""
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
        """A candidate's run with its config."""
        run = self.directory.run(name)
        if not run.config_file.exists():
            run.write_config(config)
        return run

    def check_smallest(self) -> None:
        """Refuse a budget that the smallest network of the space does not meet.

        Raises:
            UserError: With what the smallest costs.
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
        """The uniformly scaled network: as wide as the budget lets it be; the given width where there is none.

        Raises:
            UserError: Even the narrowest exceeds the budget.
        """
        found, limit = self._counted(), self.budget.latency_ms
        if limit is None:
            return found
        fits = solve_width(
            lambda width, _: self._latency(found.replace(model={"width": width})),
            limit,
            what=f"milliseconds of {self.base.model.arch}",
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
        """What counting says of the baseline; the base itself where nothing that can be counted is bounded."""
        return self._uniform() if self.budget.macs or self.budget.params else self.base

    def _latency(self, config: ResolvedConfig) -> float:
        run = self.prepared(candidates.key(config, self.splits.fingerprint), config)
        return candidates.latency_ms(run, self.classes, self.executor)

    def _uniform(self) -> ResolvedConfig:
        """The widest network that fits, with the coarsest divisor that comes close to the budget."""

        def at(width: float, width_divisor: int) -> ResolvedConfig:
            return self.base.replace(model={"width": width, "width_divisor": width_divisor})

        found = solve_width(
            lambda width, width_divisor: self.budget.excess(self.cost(at(width, width_divisor))),
            1.0,
            what=f"budgets of {self.base.model.arch}",
            hint="raise the budget",
            at_most=True,
            tries=COUNTED,
        )
        return at(found.width, found.width_divisor)

    # The plan

    @property
    def told(self) -> bool:
        """Whether an earlier start has come to results: what is planned was said then."""
        return self.directory.recipe_file.exists()

    def rungs(self) -> list[int]:
        """The epochs to which candidates are trained, ascending."""
        return sorted({until for bracket in self.brackets() for _, until in bracket})

    def brackets(self) -> list[list[tuple[int, int]]]:
        """For each bracket (candidates, epochs) of its rungs."""
        return brackets.planned(self.tune.tuner, self.tune.trials, self.epochs)

    def seconds(self) -> tuple[float, float]:
        """Of the baseline: an epoch, as it was trained or else from a few steps now; and the start of its process until then."""
        rows = self.directory.run(BASELINE).history()
        with self.screen.phase("timing the uniform network's start and steps"):
            begun = time.monotonic()
            epoch, warm = self.executor.call(candidates.measured_speed, self._counted(), slot=self.executor.slots[0])
            start = time.monotonic() - begun - warm
        return sum(row["seconds"] for row in rows) / len(rows) if rows else epoch, start

    def plan(self, epoch: float, start: float) -> list[str]:
        """Lists the brackets with their epochs, and what all of it will take.

        Args:
            epoch: Seconds that the baseline trains an epoch.
            start: Seconds from the start of its process until then, as `seconds` measures both.
        """
        lines, starts, total = [], 1, self.epochs
        for number, bracket in enumerate(self.brackets(), 1):
            before, epochs = 0, 0
            for size, until in bracket:
                epochs, before, starts = epochs + size * (until - before), until, starts + size
            total += epochs
            rungs = ", then the best ".join(f"{size} to epoch {until}" for size, until in bracket)
            lines.append(f"bracket {number:>2}  {rungs}  ({epochs} epochs)")
        seconds = (total * epoch + starts * start) / self.tune.workers
        workers = f"{self.tune.workers} workers" if self.tune.workers > 1 else "one worker"
        lines.append(
            f"in all      {total} epochs with the baseline's {self.epochs}, {starts} starts: about {duration(seconds)}"
            f" of {workers}, at the uniform network's speed"
        )
        if self.tune.promote:
            judged, chosen = (self.tune.promote + 1) * self.tune.seeds, self.tune.promote * self.tune.choose_seeds
            each = self.epochs * epoch + start
            more = (judged + chosen) * each / self.tune.workers
            lines.append(
                f"promote     {judged} retrainings with {self.tune.seeds} fresh seeds that judge, {chosen} with"
                f" {self.tune.choose_seeds} others that name the winner: about {duration(more)} more"
            )
        return lines
