"""Compare archs on your images under equal terms, with a verdict that says how sure it is."""

import contextlib
import sys

from kerascnn import tracking
from kerascnn.cli.command import command
from kerascnn.cli.screen import Screen
from kerascnn.comparison import compare_config
from kerascnn.data import preflight
from kerascnn.errors import DONE
from kerascnn.runs import finding


@command
def main(argv: list[str]) -> int:
    """`kerascnn compare`: plans, trains, concludes; with RUN... or `--predictions` it concludes only."""
    request, configs = compare_config.parse(argv, prog="kerascnn compare", description=_DESCRIPTION)
    tracking.check(request.logging.track)
    runs = [finding.find(word, request.logging.runs_dir) for word in request.runs]
    finished = bool(runs or request.compare.predictions)
    if not finished:
        configs = [preflight.check(config, request.compare.archs) for config in configs]
    from kerascnn import comparison

    with contextlib.closing(Screen()) as screen:
        if finished:
            comparison.of_runs(runs, request.compare, screen)
        else:
            comparison.of_archs(request, configs, screen)
    return DONE


_DESCRIPTION = (
    f"{__doc__} RUN... compares finished runs instead, --predictions those of other programs. The same command continues,"
    " and reuses finished runs."
)


if __name__ == "__main__":
    sys.exit(main())
