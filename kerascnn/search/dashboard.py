"""The table of candidates on a terminal during a search."""

from types import TracebackType

from rich.table import Table

from kerascnn.cli.screen import Screen
from kerascnn.search.search import Search
from kerascnn.search.trial_results import BASELINE, TrialResult, candidates, ranked

# Number of candidates in the table besides the baseline: those in training, then the best.
SHOWN = 12


class Dashboard:
    """A live table on a terminal; without one, lines only.

    Args:
        search: The search.
        screen: The screen.
    """

    def __init__(self, search: Search, screen: Screen) -> None:
        self.search = search
        self.screen = screen

    def __enter__(self) -> "Dashboard":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.screen.head(None)

    def tick(self) -> None:
        """Updates the table."""
        if self.screen.live:
            self.screen.head(table(self.search))


def table(search: Search) -> Table:
    """Returns the table of the baseline, the candidates in training, and the best so far."""
    found = Table(box=None, pad_edge=False)
    for title in ("candidate", "state", "epoch", search.column, "MACs", "parameters"):
        found.add_column(title, justify="left" if title in ("candidate", "state") else "right")
    trial_results = dict(search.trial_results)  # another thread may add a candidate
    busy = [one for one in candidates(trial_results) if one.running]
    best = [one for one in ranked(trial_results, search.direction) if not one.running]
    head = [trial_results[BASELINE]] if BASELINE in trial_results else []
    for trial_result in [*head, *busy, *best][: SHOWN + 1]:
        found.add_row(*_cells(search, trial_result))
    done = sum(bool(one.scores or one.reason) for one in candidates(trial_results))
    failed = sum(bool(one.reason) for one in candidates(trial_results))
    found.caption = f"{done} of {search.tune.trials} candidates{f', {failed} failed' if failed else ''}"
    return found


def _cells(search: Search, trial_result: TrialResult) -> tuple[str, ...]:
    cost = search.cost_of(trial_result)
    return (
        trial_result.name,
        trial_result.state(search.epochs),
        f"{trial_result.epoch}/{search.epochs}",
        "-" if trial_result.score is None else f"{trial_result.score:.4f}",
        f"{cost.macs / 1e6:,.1f} M",
        f"{cost.params:,}",
    )
