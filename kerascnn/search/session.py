"""A search from its flags to its results."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kerascnn import data, matching, runs
from kerascnn.cli import Stopped, TrainingFailed
from kerascnn.config import Config, UserError
from kerascnn.data import Splits
from kerascnn.escaping import within
from kerascnn.models import tables
from kerascnn.runs import Run
from kerascnn.screen import Screen
from kerascnn.search import candidates, oracles, space
from kerascnn.search.candidates import Prices
from kerascnn.search.directory import BASELINE, Directory, Journal
from kerascnn.search.options import Request
from kerascnn.search.space import Space
from kerascnn.training import resolve

# A child whose search was killed saves and ends by itself; the next start waits for it so long.
PATIENCE = 120.0
WORST = {"max": -1e9, "min": 1e9}


@dataclass
class Outcome:
    """What is known of a candidate.

    Attributes:
        name: Its hash, or `baseline`.
        values: By parameter; empty for the baseline.
        config: Of its run.
        scores: Best objective by the epoch it was trained to.
        reason: Why it failed, or "".
        latency_ms: Where it was measured.
    """

    name: str
    values: dict[str, Any]
    config: Config
    scores: dict[int, float] = field(default_factory=dict)
    reason: str = ""
    latency_ms: float | None = None


class Search:
    """One search: what its workers share.

    Args:
        request: The flags.
        screen: Where lines go.
    """

    def __init__(self, request: Request, screen: Screen) -> None:
        self.tune, self.screen = request.tune, screen
        self.splits: Splits = data.load(request.data)
        self.base = resolve(request.config, self.splits)
        self.space: Space = space.load(request.tune.space or "", self.base)
        self.column = self.base.fit.monitor if self.tune.objective == "auto" else self.tune.objective
        self.direction = self.tune.direction if self.tune.objective != "auto" else _direction(self.column)
        assert self.base.fit.epochs is not None
        self.epochs: int = self.base.fit.epochs
        self.prices = Prices(len(self.splits.class_names), self.splits.fingerprint)
        self.directory = Directory(within(self.tune.searches_dir, self.tune.name or self._name()))
        self.journal = Journal(self.directory.journal_file)
        self.outcomes: dict[str, Outcome] = {}
        self.stop = threading.Event()
        self.hours = request.fit.max_hours
        self._turn = threading.Lock()
        self._trouble: BaseException | None = None

    def _name(self) -> str:
        parts = (
            self.base.model.arch,
            data.short_name(self.base.data.dataset),
            self.space.name,
            self.tune.tuner,
            f"s{self.base.fit.seed}",
        )
        return "_".join(parts)

    def request(self) -> dict[str, Any]:
        """What makes this search this search: another one in its directory is refused."""
        tune = self.tune
        asked = {
            "tuner": tune.tuner,
            "trials": tune.trials,
            "objective": self.column,
            "space": self.space.name,
            "parameters": {p.name: str(p) for p in self.space.parameters},
            "fixed": {key: str(value) for key, value in self.space.fixed.items()},
            "identity": {k: str(v) for k, v in runs.identity(self.base, self.splits.fingerprint).items()},
        }
        limits = {"max_macs": tune.max_macs, "max_params": tune.max_params, "max_latency_ms": tune.max_latency_ms}
        return asked | {key: value for key, value in limits.items() if value is not None}

    # What a candidate may be

    def config_of(self, values: dict[str, Any]) -> Config:
        """The config of a candidate's run."""
        return self.space.apply(self.base, values)

    def allowed(self, values: dict[str, Any]) -> bool:
        """Whether a candidate can be built and meets the budget."""
        try:
            config = self.config_of(values)
        except UserError:
            return False
        found = self.prices.of(config)
        if found is None:
            return False
        for limit, cost in ((self.tune.max_macs, found.macs), (self.tune.max_params, found.params)):
            if limit is not None and cost > limit:
                return False
        if self.tune.max_latency_ms is None:
            return True
        run = self.prepared(candidates.key(config, self.splits.fingerprint), config)
        return candidates.latency_ms(run, self.prices.classes) <= self.tune.max_latency_ms

    def prepared(self, name: str, config: Config) -> Run:
        """A candidate's run with its config."""
        run = self.directory.run(name)
        run.path.mkdir(parents=True, exist_ok=True)
        if not run.config_file.exists():
            run.write_config(config)
        return run

    def check_smallest(self) -> None:
        """Refuse a budget that the smallest network of the space does not meet.

        Raises:
            UserError: With what the smallest costs.
        """
        values = {p.name: p.ends()[0] for p in self.space.parameters if not p.when}
        found = self.prices.of(self.config_of(values))
        limits = (("--max-macs", self.tune.max_macs, "macs"), ("--max-params", self.tune.max_params, "params"))
        for flag, limit, what in limits:
            if found is not None and limit is not None and getattr(found, what) > limit:
                raise UserError(
                    f"{flag} {limit:,.0f} cannot be met: the smallest network of {self.space.name} costs"
                    f" {getattr(found, what):,}; raise it, or lower the lower ends of the space"
                )

    def baseline(self) -> Config:
        """The uniformly scaled network of the same budget; the published widths where there is none to count."""
        base = self.base
        budget = self.tune.max_macs or self.tune.max_params
        if budget is None:
            return base
        what = "macs" if self.tune.max_macs else "params"

        def cost(width: float, rounding: int) -> float:
            found = self.prices.of(base.replace(model={"width": width, "rounding": rounding}))
            return getattr(found, what) if found else 0.0

        found = matching.solve(cost, budget, what="the budget, scaled uniformly", tolerance=0.05)
        return base.replace(model={"width": found.width, "rounding": found.rounding})

    # The search

    @property
    def family(self) -> str:
        """resnet or inception."""
        return tables.row(self.base.model.arch).family

    def rungs(self) -> list[int]:
        """The epochs to which candidates are trained, ascending."""
        if self.tune.tuner != "hyperband":
            return [self.epochs]
        return sorted({until for bracket in oracles.brackets(self.tune.trials, self.epochs) for _, until in bracket})

    def seconds_per_epoch(self) -> float | None:
        """Of the baseline, once it was trained."""
        rows = self.directory.run(BASELINE).history()
        return sum(row["seconds"] for row in rows) / len(rows) if rows else None

    def run(self, after: Callable[[], None]) -> None:
        """Everything that is still to be trained; `after` is called when a candidate ends.

        Raises:
            Stopped: By a signal or by time; everything is kept.
            UserError: The budget leaves too little of the space.
        """
        self.run_baseline()
        oracle = self._oracle()
        begun = self.replay(oracle)
        if begun is None:
            self.screen.say("note: the journal does not fit; what was trained is found in the candidates' directories")
            self.journal.rewrite([])
            oracle, begun = self._oracle(), []
        else:
            self.journal.rewrite(self.journal.events())  # without a line that was cut
        self.work(oracle, begun, after)

    def _oracle(self) -> Any:
        oracle = oracles.build(
            self.tune.tuner,
            self.space,
            allowed=self.allowed,
            candidates=self.tune.trials,
            epochs=self.epochs,
            direction=self.direction,
            seed=self.base.fit.seed,
        )
        oracle._set_project_dir(str(self.directory.path), "oracle")
        return oracle

    def run_baseline(self) -> None:
        """Train the baseline, whole, before anything else."""
        config = self.baseline()
        outcome = self.outcomes.setdefault(BASELINE, Outcome(BASELINE, {}, config))
        self.prepared(BASELINE, config)
        self._train(outcome, self.epochs, ())
        if self.stop.is_set():
            raise Stopped("stopped: the same command goes on")

    def _train(self, outcome: Outcome, until: int, cpus: tuple[int, ...]) -> float:
        run = self.directory.run(outcome.name)
        self._wait_for(run)
        try:
            score = candidates.train(run, until, self.column, self.direction, cpus=cpus, stop=self.stop)
        except TrainingFailed as error:
            outcome.reason = str(error)
            return WORST[self.direction]
        outcome.scores[until] = score
        return score

    def _wait_for(self, run: Run) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                with run.lock():
                    return
            except UserError:
                if time.monotonic() > end or self.stop.is_set():
                    raise
                time.sleep(0.5)

    def replay(self, oracle: Any) -> list[Any] | None:
        """Put a fresh oracle back to where the journal ends; returns the trials that had begun and not ended.

        None where the journal does not fit (another version of keras-tuner): the same candidates, drawn again, are found
        trained in their directories.
        """
        for event in self.journal.events():
            if event["event"] == "ended":
                self._end(oracle, oracle.trials[event["trial"]], event["score"], event["reason"])
                continue
            trial = oracle.create_trial(event["worker"])
            if (trial.status, trial.trial_id, trial.hyperparameters.values) != (
                "RUNNING",
                event["trial"],
                event["values"],
            ):
                return None
            self._outcome(trial)
        return [(worker, trial) for worker, trial in oracle.ongoing_trials.items()]

    def _outcome(self, trial: Any) -> Outcome:
        values = oracles.own(trial.hyperparameters.values)
        config = self.config_of(values)
        name = candidates.key(config, self.splits.fingerprint)
        return self.outcomes.setdefault(name, Outcome(name, values, config))

    def _until(self, trial: Any) -> int:
        return int(trial.hyperparameters.values.get("tuner/epochs", self.epochs))

    def _end(self, oracle: Any, trial: Any, score: float, reason: str) -> None:
        outcome = self._outcome(trial)
        outcome.reason = reason
        if not reason:
            outcome.scores[self._until(trial)] = score
        oracle.update_trial(trial.trial_id, {"score": score})
        trial.status = (
            "COMPLETED"  # a crash too: it has the worst score, and keras-tuner would stop at the third in a row
        )
        oracle.end_trial(trial)

    def work(self, oracle: Any, begun: list[Any], after: Callable[[], None]) -> None:
        """Run the workers until the oracle has no more candidates.

        Raises:
            Stopped: By a signal or by time; everything is kept.
            UserError: The budget leaves too little of the space.
        """
        threads = [
            threading.Thread(target=self._worker, args=(oracle, begun, f"worker{i}", cores, after), daemon=True)
            for i, cores in enumerate(self._cores())
        ]
        end = time.monotonic() + self.hours * 3600 if self.hours else float("inf")
        try:
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                if time.monotonic() > end:
                    self.stop.set()
                time.sleep(0.1)
        except BaseException:
            self.stop.set()
            raise
        finally:
            for thread in threads:
                thread.join()
        if self._trouble is not None:
            raise self._trouble
        if self.stop.is_set():
            raise Stopped(f"--max-hours {self.hours:g} are over: the same command goes on" if self.hours else "stopped")

    def _cores(self) -> list[tuple[int, ...]]:
        """Each worker's cores; one worker is not pinned."""
        every = sorted(os.sched_getaffinity(0))
        if self.tune.workers == 1 or len(every) < self.tune.workers:
            return [()] * self.tune.workers
        return [tuple(every[i :: self.tune.workers]) for i in range(self.tune.workers)]

    def _worker(
        self, oracle: Any, begun: list[Any], worker: str, cores: tuple[int, ...], after: Callable[[], None]
    ) -> None:
        try:
            while not self.stop.is_set():
                trial, of = self._next(oracle, begun, worker)
                if trial is None:
                    return
                if trial.status == "IDLE":
                    time.sleep(0.3)
                    continue
                self._run_trial(oracle, trial, of, cores, after)
        except Stopped:
            return
        except BaseException as error:
            self._trouble = error
            self.stop.set()

    def _next(self, oracle: Any, begun: list[Any], worker: str) -> tuple[Any, str]:
        """The next trial, first of those that a killed search had begun; None at the end."""
        with self._turn:
            if begun:
                of, trial = begun.pop(0)
                return trial, of
            if any(of == worker for of in oracle.ongoing_trials):  # still trained by another thread under this name
                worker += "b"
            trial = oracle.create_trial(worker)
            if trial.status == "STOPPED":
                return None, worker
            if trial.status == "RUNNING":
                values = trial.hyperparameters.values
                self.journal.append({"event": "began", "worker": worker, "trial": trial.trial_id, "values": values})
            return trial, worker

    def _run_trial(self, oracle: Any, trial: Any, of: str, cores: tuple[int, ...], after: Callable[[], None]) -> None:
        with self._turn:
            outcome, until = self._outcome(trial), self._until(trial)
            self.prepared(outcome.name, outcome.config)
        score = self._train(outcome, until, cores)
        with self._turn:
            self.journal.append({"event": "ended", "trial": trial.trial_id, "score": score, "reason": outcome.reason})
            self._end(oracle, trial, score, outcome.reason)
            self._drop_losers(oracle)
            place = sum(bool(o.scores or o.reason) for name, o in self.outcomes.items() if name != BASELINE)
            said = outcome.reason or f"{self.column} {score:.4f} after {until} epochs"
            self.screen.say(f"{place:>4}/{self.tune.trials}  {outcome.name}  {said}")
            after()

    def _drop_losers(self, oracle: Any) -> None:
        """Remove the checkpoints of what will not go on: finished runs, and candidates whose bracket has ended."""
        running = {self._outcome(trial).name for trial in oracle.ongoing_trials.values()}
        open_ = {
            self._outcome(oracle.trials[info["id"]]).name
            for bracket in getattr(oracle, "_brackets", [])
            for rung in bracket["rounds"]
            for info in rung
            if info["id"] in oracle.trials
        }
        for name in self.outcomes.keys() - running - open_:
            self.directory.run(name).drop_checkpoints()


def _direction(column: str) -> str:
    return "min" if "loss" in column else "max"


def ranked(outcomes: dict[str, Outcome], direction: str) -> list[Outcome]:
    """Candidates, the baseline apart: those trained longest first, the better score first."""
    sign = -1 if direction == "max" else 1
    alive = [outcome for name, outcome in outcomes.items() if name != BASELINE and outcome.scores]
    return sorted(alive, key=lambda o: (-max(o.scores), sign * o.scores[max(o.scores)], o.name))
