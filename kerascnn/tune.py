"""Search filter counts (and whatever else a space names) under a budget; the same command goes on, or shows what was found."""

import os
import signal
import sys
import threading
from types import FrameType

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from kerascnn import cli
from kerascnn.screen import Screen, duration, quiet
from kerascnn.search import options


@cli.command
def main(argv: list[str]) -> int:
    """`kerascnn tune`: plan, baseline, candidates, results; with --promote what the best are worth."""
    request = options.parse(argv, prog="kerascnn tune", description=__doc__ or "")
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _stop)
    with quiet():
        from kerascnn.search import oracles, promote, results, session
    screen = Screen()
    search = session.Search(request, screen)
    _introduce(search, screen)
    search.check_smallest()
    if request.tune.tuner == "hyperband":
        _show_brackets(search, oracles, screen)
    if request.tune.dry_run:
        return cli.DONE
    with search.directory.lock():
        search.directory.claim(search.request())
        screen.log_to(search.directory.log_file)
        try:
            search.run(lambda: results.keep(search))
        finally:
            results.keep(search, whole=True)
        for line in results.lines(search, results.rows(search)):
            screen.say(line)
        if request.tune.promote:
            promote.promote(search, request.tune.promote, request.tune.seeds, screen.say)
        else:
            screen.say("next    the same command with --promote 3 --seeds 3: what the best are worth with fresh seeds")
        screen.say(f"files   {search.directory.path}: trials.csv, pareto.png, best.toml (fit --config), tensorboard/")
    return cli.DONE


def _introduce(search: "session.Search", screen: Screen) -> None:  # type: ignore[name-defined] # noqa: F821
    for line in search.splits.lines():
        screen.say(line)
    tune = search.tune
    limits = [
        f"{limit:,.0f} {what}" if what != "ms" else f"{limit:g} ms"
        for limit, what in ((tune.max_macs, "MACs"), (tune.max_params, "parameters"), (tune.max_latency_ms, "ms"))
        if limit is not None
    ]
    screen.say(f"search  {search.base.model.arch} over {search.space.name}: {len(search.space.parameters)} parameters")
    screen.say(f"        {tune.trials} candidates by {tune.tuner}, {search.epochs} epochs, best by {search.column}")
    screen.say(f"        at most {', '.join(limits) if limits else 'anything: no budget was given'}")
    screen.say(f"files   {search.directory.path}")


def _show_brackets(search: "session.Search", oracles: object, screen: Screen) -> None:  # type: ignore[name-defined] # noqa: F821
    table = oracles.brackets(search.tune.trials, search.epochs)  # type: ignore[attr-defined]
    total = search.epochs  # the baseline's
    for i, bracket in enumerate(table, 1):
        epochs, before = 0, 0
        for size, until in bracket:
            epochs, before = epochs + size * (until - before), until
        total += epochs
        screen.say(
            f"bracket {i}: " + ", then ".join(f"{n} to epoch {until}" for n, until in bracket) + f" ({epochs} epochs)"
        )
    seconds = search.seconds_per_epoch()
    known = f", about {duration(total * seconds)} at the baseline's speed" if seconds else ""
    screen.say(f"in all  {total} epochs, the baseline's among them{known}")


def _stop(number: int, frame: FrameType | None) -> None:
    """SIGTERM: the running trainings save and end as their standard inputs close."""
    raise cli.Stopped("stopped by SIGTERM: the same command goes on from what is kept")


if __name__ == "__main__":
    sys.exit(main())
