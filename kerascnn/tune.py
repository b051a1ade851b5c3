"""Search filter counts, and other parameters of a space, under a budget; the same command continues, or shows the results."""

import contextlib
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kerascnn import tracking
from kerascnn.architectures import own
from kerascnn.cli.command import command
from kerascnn.cli.parsing import told
from kerascnn.cli.recipes import recipe_path
from kerascnn.cli.screen import Screen, quiet, starting
from kerascnn.data import preflight
from kerascnn.errors import DONE
from kerascnn.processes.fork_server import ForkServer
from kerascnn.search import tune_config
from kerascnn.studies.executors.local import PRELOADED

if TYPE_CHECKING:
    from kerascnn.search.search import Search


@command
def main(argv: list[str]) -> int:
    """`kerascnn tune`: plan, baseline, candidates, results; with --promote the value of the best candidates."""
    request = tune_config.parse(argv, prog="kerascnn tune", description=__doc__ or "")
    tracking.check(request.logging.track)
    checked, start = preflight.adopt(preflight.check(request.config), told(argv, tune_config.TuneConfig))
    preflight.check_shape(checked)
    recipe_path(request.tune.space, "spaces")
    request = request.model_copy(update=dict(checked))
    screen = Screen()
    if start:
        screen.say(start)
    with starting(screen), quiet(request.logging.verbose):
        server = ForkServer.here(PRELOADED)
        from kerascnn.search.search import Search
    with quiet(request.logging.verbose):
        search = Search(request, screen, server)
    with contextlib.closing(search.executor):
        return _search(search)


def _search(search: "Search") -> int:
    from kerascnn.data.contents import carry
    from kerascnn.tracking import trackers, untold

    tune, screen = search.tune, search.screen
    search.check_smallest()
    _introduce(search)
    if tune.dry_run:
        _say(screen, search.plan(*search.seconds()))
        return DONE
    with search.directory.lock(screen.say):
        search.directory.claim(search.request())
        carry(search.base.logging.runs_dir, search.directory.trials)
        screen.log_to(search.directory.log_file)
        if not search.told:
            _say(screen, search.plan(*search.seconds()))
        directory, logging = search.directory, search.base.logging
        with trackers.of_study(logging, tracking.group_of(logging, directory.name), directory.path, screen.say) as told:
            _train(search)
            if tune.promote:
                _promote(search)
            untold.end(directory.finished_runs(), screen.say)
            told.files([directory.terms_file, directory.trials_file, directory.recipe_file, directory.report_file])
            told.finished = True
    return DONE


def _introduce(search: "Search") -> None:
    tune, screen = search.tune, search.screen
    _say(screen, search.splits.lines())
    limits = [
        f"{limit:,.0f} {what}" if what != "ms at batch 1" else f"{limit:g} {what}"
        for limit, what in (
            (tune.max_macs, "MACs"),
            (tune.max_params, "parameters"),
            (tune.max_latency_ms, "ms at batch 1"),
        )
        if limit is not None
    ]
    screen.say(
        f"search  {own.shown(search.base.model.arch)} over {search.space.name}: {len(search.space.parameters)} parameters"
    )
    screen.say(f"        {tune.trials} candidates by {tune.tuner}, {search.epochs} epochs, best by {search.column}")
    screen.say(f"        at most {', '.join(limits) if limits else 'anything: no budget was given'}")
    screen.say(f"kept    {search.directory.path}")


def _train(search: "Search") -> None:
    """Trains all remaining candidates; results are written and printed however it ends."""
    with quiet():
        from kerascnn.search import dashboard, results, search_execution

    screen = search.screen
    with screen.phase("scaling the network uniformly to the budget"):
        execution = search_execution.Execution(search, after=lambda: results.keep(search))
    try:
        with dashboard.Dashboard(search, screen) as shown:
            execution.run(shown.tick)
    except BaseException:
        with contextlib.suppress(OSError):  # on a full disk the error that ended the search says more
            _conclude(search)
        raise
    _conclude(search)
    directory = search.directory
    files = f"{directory.trials_file.name}, {directory.picture_file.name}, {directory.importance_file.name}"
    screen.say(f"report  {directory.report_file}")
    screen.say(f"files   {directory.path}: {files}, tensorboard/ (its own table under HParams)")
    screen.say(f"next    python -m kerascnn.fit --config {shlex.quote(str(directory.recipe_file))}")
    if not search.tune.promote:
        screen.say("        the same command with --promote 3 --seeds 5 retrains the best with fresh seeds")


def _conclude(search: "Search") -> None:
    from kerascnn.search import results

    with search.screen.phase("writing the results"):
        results.keep(search, whole=True)
        _report(search)
    search.screen.say()
    _say(search.screen, results.lines(search))


def _promote(search: "Search") -> None:
    with quiet():
        from kerascnn.search.promote import Promotion
    promotion = Promotion(search, search.tune.promote, search.tune.seeds, search.tune.choose_seeds)
    promotion.train()
    search.directory.write_table(search.directory.promotion_file, promotion.rows())
    lines = promotion.lines()
    _report(search, lines)
    search.screen.say()
    _say(search.screen, lines)


def _report(search: "Search", said: Sequence[str] = ()) -> None:
    from kerascnn.report import html
    from kerascnn.search import search_page

    search.directory.write_report(html.search_html(search_page.page(search, said)))


def _say(screen: Screen, lines: list[str]) -> None:
    for line in lines:
        screen.say(line)


if __name__ == "__main__":
    sys.exit(main())
