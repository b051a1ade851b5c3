"""Compare archs on your images under equal terms, with a verdict that says how sure it is."""

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
    """`kerascnn compare`: plans, trains, concludes; `kerascnn compare RUN ...` concludes from finished runs."""
    request, configs = compare_config.parse(argv, prog="kerascnn compare", description=_DESCRIPTION)
    tracking.check(request.logging.track)
    runs = [finding.find(word, request.logging.runs_dir) for word in request.runs]
    if not runs:
        configs = [preflight.check(config, request.compare.archs) for config in configs]
    from kerascnn import comparison

    if runs:
        comparison.of_runs(runs, request.compare, Screen())
    else:
        comparison.of_archs(request, configs, Screen())
    return DONE


_DESCRIPTION = f"{__doc__} RUN... compares finished runs instead. The same command continues, and reuses finished runs."


if __name__ == "__main__":
    sys.exit(main())
