"""Time input, training step and inference of archs on this machine in rounds, optionally beside stock Keras."""

import sys

from kerascnn.cli.command import command
from kerascnn.cli.screen import Screen, quiet, starting
from kerascnn.data import preflight
from kerascnn.errors import DONE
from kerascnn.speed import benchmark_config, figures
from kerascnn.studies.executors.local import LocalExecutor


@command
def main(argv: list[str]) -> int:
    """`kerascnn benchmark`: prints a table, JSON lines or CSV."""
    request = benchmark_config.parse(argv, prog="kerascnn benchmark", description=__doc__ or "")
    asked = request.benchmark
    preflight.check(request.config, asked.archs)
    before = figures.read(asked.against) if asked.against else []
    data_only = asked.as_json or asked.csv
    # With rows for programs, everything else goes to standard error.
    screen = Screen(errors=data_only)
    with starting(screen), quiet(request.logging.verbose):
        from kerascnn.speed import onednn_gain, rounds, tracing
    if asked.trace:
        tracing.require()
    say = screen.say
    executor = LocalExecutor(phases=screen)
    found, environment = rounds.run(request, executor, say, before, screen)
    if asked.as_json:
        print(figures.as_json(found, environment))
    elif asked.csv:
        print(figures.as_csv(found, environment))
    else:
        _say_all(say, figures.lines(found))
    if before:
        _say_all(say, figures.changes(found, environment, before))
    if asked.trace:
        _say_all(say, rounds.trace(request))
    if onednn_gain.off_needlessly():
        _say_all(say, onednn_gain.worth(found, request.configs(), asked, executor))
    return DONE


def _say_all(say, lines) -> None:
    for line in lines:
        say(line)


if __name__ == "__main__":
    sys.exit(main())
