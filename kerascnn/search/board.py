"""The table of candidates on a terminal during a search."""

from types import TracebackType

from rich.table import Table

from kerascnn.cli.screen import Screen
from kerascnn.search.outcomes import BASELINE, Outcome, candidates, ranked
from kerascnn.search.session import Search

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
    outcomes = dict(search.outcomes)  # another thread may add a candidate
    busy = [one for one in candidates(outcomes) if one.running]
    best = [one for one in ranked(outcomes, search.direction) if not one.running]
    head = [outcomes[BASELINE]] if BASELINE in outcomes else []
    for outcome in [*head, *busy, *best][: SHOWN + 1]:
        found.add_row(*_cells(search, outcome))
    done = sum(bool(one.scores or one.reason) for one in candidates(outcomes))
    failed = sum(bool(one.reason) for one in candidates(outcomes))
    found.caption = f"{done} of {search.tune.trials} candidates{f', {failed} failed' if failed else ''}"
    return found


def _cells(search: Search, outcome: Outcome) -> tuple[str, ...]:
    cost = search.cost(outcome.config)
    return (
        outcome.name,
        outcome.state(search.epochs),
        f"{outcome.epoch}/{search.epochs}",
        "-" if outcome.score is None else f"{outcome.score:.4f}",
        f"{cost.macs / 1e6:,.1f} M",
        f"{cost.params:,}",
    )
