"""Compare archs on your images under equal terms, with a verdict that says how sure it is."""

import signal
import sys
import threading
from types import FrameType

from kerascnn import cli
from kerascnn.comparison import options
from kerascnn.screen import Screen


@cli.command
def main(argv: list[str]) -> int:
    """`kerascnn compare`: plan, train, conclude; `kerascnn compare RUN ...`: conclude from finished runs."""
    runs, flags = _split(argv)
    request, configs = options.parse(flags, prog="kerascnn compare", description=_DESCRIPTION)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _stop)
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


def _stop(number: int, frame: FrameType | None) -> None:
    """SIGTERM: the running training saves and ends as its standard input closes."""
    raise cli.Stopped("stopped by SIGTERM: the same command goes on from what is kept")


if __name__ == "__main__":
    sys.exit(main())
