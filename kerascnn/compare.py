"""Compare archs on your images under equal terms, with a verdict that says how sure it is."""

import sys

from kerascnn import cli
from kerascnn.comparison import options
from kerascnn.screen import Screen


@cli.command
def main(argv: list[str]) -> int:
    """`kerascnn compare`: plan, train, conclude; `kerascnn compare RUN ...`: conclude from finished runs."""
    runs, flags = _split(argv)
    request, configs = options.parse(flags, prog="kerascnn compare", description=_DESCRIPTION)
    from kerascnn import comparison

    if runs:
        comparison.of_runs(runs, request.compare, Screen())
    else:
        comparison.of_archs(request, configs, Screen())
    return cli.DONE


_DESCRIPTION = (
    f"{__doc__} RUN ... in front of all flags compares runs that are there. The same command goes on where it was stopped,"
    " and reuses finished runs."
)


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    """Runs, which stand in front, and flags."""
    first = next((i for i, word in enumerate(argv) if word.startswith("-")), len(argv))
    return argv[:first], argv[first:]


if __name__ == "__main__":
    sys.exit(main())
