"""Executes a search: the oracle, its journal, and the jobs of the workers."""

import threading
import time
from collections.abc import Callable
from typing import Any

from kerascnn.errors import TrainingFailed
from kerascnn.search import candidates, oracles
from kerascnn.search.search import Search
from kerascnn.search.search_directory import Journal
from kerascnn.search.trial_results import BASELINE, TrialResult
from kerascnn.studies.executor import ChildLost, Slot
from kerascnn.studies.workers import WorkerPool

# The score of a crash, as halving needs one; any other is better.
WORST = {"max": -1e9, "min": 1e9}
IDLE = 0.3


class Execution:
    """A search from its claimed directory to its last candidate.

    Args:
        search: The search.
        after: Called at the end of each rung.
    """

    def __init__(self, search: Search, after: Callable[[], None]) -> None:
        self.search, self.after = search, after
        self.tune, self.trial_results, self.directory = search.tune, search.trial_results, search.directory
        self.journal = Journal(search.directory.journal_file)
        self.baseline = self.trial_results.setdefault(BASELINE, TrialResult(BASELINE, {}, search.baseline()))
        self._baseline_waits = True
        self._turn = threading.Lock()
        self._begun: list[Any] = []
        self._lost: set[tuple[str, int]] = set()
        self._names: dict[str, str] = {}  # trial -> candidate
        self._dropped: set[str] = set()  # candidates without checkpoints

    def run(self, tick: Callable[[], None]) -> None:
        """Trains everything that remains.

        Raises:
            Stopped: By a signal or the time limit; everything is kept.
            TrainingFailed: The baseline cannot be trained.
            ChildLost: A process was killed, or ended for an external reason; everything is kept.
            UserError: Too little of the space fits the budget.
        """
        pool = WorkerPool(self.search.executor.slots, self.search.stop, self.search.seconds_left())
        self.oracle, self._begun = self._replayed()
        pool.work(self._job, tick)
        if self.oracle.problem is not None:
            raise self.oracle.problem

    def _fresh(self) -> Any:
        return oracles.build(
            self.tune.tuner,
            self.search.space,
            constraint=self.search,
            candidates=self.tune.trials,
            epochs=self.search.epochs,
            direction=self.search.direction,
            seed=self.search.base.fit.seed,
            folder=self.directory.journal_file.parent,
        )

    def _replayed(self) -> tuple[Any, list[Any]]:
        """Returns the oracle at the end of the journal, and the trials that have begun but not ended.

        If the journal is truncated or does not match (a damaged line, another version of keras-tuner), the rest is dropped:
        the same candidates are drawn again and found trained in their directories.
        """
        events = self.journal.events()
        self.oracle = self._fresh()
        folder, self.oracle.folder = self.oracle.folder, None  # nothing to write until all of it is replayed
        for number, event in enumerate(events):
            if not self._played(event):
                self.search.screen.say(
                    f"note: {self.directory.journal_file} does not go on after {number} events;"
                    " the rest is taken from the candidates' own directories"
                )
                events = events[:number]
                # A draw that does not match has changed the oracle: replay again, up to that event.
                self.trial_results.clear()
                self._names.clear()
                self.trial_results[BASELINE] = self.baseline
                self.oracle = self._fresh()
                self.oracle.folder = None
                for each in events:
                    self._played(each)
                break
        self.oracle.folder, self.oracle.replayed = folder, None
        self.journal.rewrite(events)
        return self.oracle, list(self.oracle.ongoing_trials.values())

    def _played(self, event: dict[str, Any]) -> bool:
        if event["event"] == "began":
            self.oracle.replayed = event["values"]
            trial = self._created()
            if trial.status != "RUNNING" or trial.hyperparameters.values != event["values"]:
                return False
            self._outcome(trial)
            return trial.trial_id == event["trial"]
        trial = self.oracle.trials.get(event["trial"])
        if trial is None or trial.status != "RUNNING":
            return False
        if event["event"] == "lost":
            self._lost.add((event["trial"], event["epoch"]))
            return True
        if not self.directory.run(self._outcome(trial).name).config_file.exists():
            return False  # the meaning of its values has changed, or its directory was removed
        self._end(trial, event["score"], event["reason"])
        return True

    def _created(self) -> Any:
        """Returns the next trial. Workers of keras-tuner have names and hold one trial each; here every trial has its own
        name.
        """
        return self.oracle.create_trial(f"worker{len(self.oracle.trials)}")

    def _outcome(self, trial: Any) -> TrialResult:
        name = self._names.get(trial.trial_id, "")
        if name in self.trial_results:
            return self.trial_results[name]
        values = oracles.own(trial.hyperparameters.values)
        name = self._names[trial.trial_id] = self.search.key(values)
        return self.trial_results.setdefault(name, TrialResult(name, values, self.search.config_of(values)))

    def _until(self, trial: Any) -> int:
        return int(trial.hyperparameters.values.get("tuner/epochs", self.search.epochs))

    def _end(self, trial: Any, score: float, reason: str) -> None:
        trial_result = self._outcome(trial)
        trial_result.reason = reason
        if not reason:
            trial_result.scores[self._until(trial)] = score
            trial_result.epoch = max(trial_result.epoch, self._until(trial))
        if reason and self.tune.tuner != "hyperband":
            trial.status, trial.message = "FAILED", reason
        else:  # halving needs every candidate of a rung: a crash gets the worst score
            self.oracle.update_trial(trial.trial_id, {"score": score})
            trial.status = "COMPLETED"
        self.oracle.end_trial(trial)

    # What a worker does

    def _job(self, slot: Slot) -> bool:
        """Does a job: the baseline first, then interrupted trials, then those of the oracle; returns False at the end."""
        with self._turn:
            first, self._baseline_waits = self._baseline_waits, False
            trial = None if first else self._next()
        if first:
            self._train_baseline(slot)
        elif trial is None:
            return False
        elif trial.status == "IDLE":
            time.sleep(IDLE)
        else:
            self._run(trial, slot)
        return True

    def _next(self) -> Any:
        if self._begun:
            return self._begun.pop(0)
        trial = self._created()
        if trial.status == "STOPPED":
            return None
        if trial.status == "RUNNING":
            values = trial.hyperparameters.values
            self.journal.append({"event": "began", "trial": trial.trial_id, "values": values})
            self._outcome(trial)
        return trial

    def _train_baseline(self, slot: Slot) -> None:
        self.search.prepared(BASELINE, self.baseline.config)
        self._train(self.baseline, self.search.epochs, slot, candidate=False)
        if self.baseline.reason:
            raise TrainingFailed(f"the uniformly scaled network cannot be trained: {self.baseline.reason}")
        self.directory.run(BASELINE).drop_checkpoints()
        with self._turn:
            self.after()
        score, width = self.baseline.score, self.baseline.config.model.width
        self.search.screen.say(f"baseline    {self.search.column} {score:.4f}: scaled uniformly to width {width:g}")

    def _run(self, trial: Any, slot: Slot) -> None:
        with self._turn:
            trial_result, until = self._outcome(trial), self._until(trial)
            self.search.prepared(trial_result.name, trial_result.config)
        try:
            score = self._train(trial_result, until, slot, candidate=True)
        except ChildLost as error:
            self._note_lost(trial, trial_result, error)
            score = WORST[self.search.direction]
        with self._turn:
            event = {"event": "ended", "trial": trial.trial_id, "score": score, "reason": trial_result.reason}
            self.journal.append(event)
            self._end(trial, score, trial_result.reason)
            self._drop_losers()
            self.after()
            done = sum(bool(one.scores or one.reason) for name, one in self.trial_results.items() if name != BASELINE)
            said = (
                trial_result.reason or f"{self.search.column} {score:.4f} after {until} of {self.search.epochs} epochs"
            )
            self.search.screen.say(f"{done:>4}/{self.tune.trials:<4}  {trial_result.name}  {said}")

    def _note_lost(self, trial: Any, trial_result: TrialResult, error: ChildLost) -> None:
        """Stops the search, since the cause may affect all; but a candidate that is killed twice at the same epoch fails.

        A candidate that needs too much memory would otherwise keep the search from ever ending.
        """
        mark = trial.trial_id, len(self.directory.run(trial_result.name).history())
        with self._turn:
            if error.killed and mark in self._lost:
                trial_result.reason = f"twice after {mark[1]} epochs: {error.said}"
                return
            if error.killed:
                self._lost.add(mark)
                self.journal.append({"event": "lost", "trial": mark[0], "epoch": mark[1]})
        raise error

    def _train(self, trial_result: TrialResult, until: int, slot: Slot, candidate: bool) -> float:
        run = self.directory.run(trial_result.name)

        def seen(row: dict[str, float]) -> None:
            trial_result.epoch = int(row["epoch"])

        trial_result.running = True
        try:
            score = candidates.train(
                run,
                until,
                self.search.column,
                self.search.direction,
                executor=self.search.executor,
                slot=slot,
                stop=self.search.stop,
                candidate=candidate,
                say=seen,
            )
        except TrainingFailed as error:
            trial_result.reason = str(error)
            return WORST[self.search.direction]
        finally:
            trial_result.running = False
        trial_result.scores[until] = score
        trial_result.epoch = until
        return score

    def _drop_losers(self) -> None:
        """Removes the checkpoints of runs that will not continue: finished runs, and candidates whose bracket has ended."""
        running = {self._outcome(trial).name for trial in self.oracle.ongoing_trials.values()}
        may_go_on = {
            self._outcome(self.oracle.trials[trial]).name
            for trial in self.oracle.awaited()
            if trial in self.oracle.trials
        }
        for name in self.trial_results.keys() - running - may_go_on - {BASELINE} - self._dropped:
            self.directory.run(name).drop_checkpoints()
            self._dropped.add(name)
