"""Compare archs on your images under equal terms, with a verdict that says how sure it is."""

import sys

from kerascnn import cli, preflight
from kerascnn.comparison import options
from kerascnn.runs import finding
from kerascnn.screen import Screen


@cli.command
def main(argv: list[str]) -> int:
    """`kerascnn compare`: plan, train, conclude; `kerascnn compare RUN ...`: conclude from finished runs."""
    request, configs = options.parse(argv, prog="kerascnn compare", description=_DESCRIPTION)
    runs = [finding.find(word, request.logging.runs_dir) for word in request.runs]
    if not runs:
        configs = [preflight.check(config, request.compare.archs) for config in configs]
    from kerascnn import comparison

    if runs:
        comparison.of_runs(runs, request.compare, Screen())
    else:
        comparison.of_archs(request, configs, Screen())
    return cli.DONE


_DESCRIPTION = (
    f"{__doc__} With RUN... it compares runs that are there. The same command continues where it was stopped, and reuses"
    " finished runs."
)


if __name__ == "__main__":
    sys.exit(main())
