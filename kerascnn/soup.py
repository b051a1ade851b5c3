"""Average the weights of several runs of one network into one, as good as their ensemble at best and no slower than one."""

import sys

from kerascnn.averaging.soup_config import SoupConfig
from kerascnn.cli.command import command
from kerascnn.cli.parsing import parse
from kerascnn.cli.screen import Screen, quiet, starting
from kerascnn.data import preflight
from kerascnn.errors import DONE, UserError
from kerascnn.runs import Run, finding


@command
def main(argv: list[str]) -> int:
    """`kerascnn soup RUN...`: averages, scores and prints the soup beside its runs."""
    asked = parse(SoupConfig, argv, prog="kerascnn soup", description=__doc__ or "")
    if not asked.runs:
        raise UserError("which runs? kerascnn soup RUN RUN... (kerascnn soup --help)")
    runs = [Run(finding.find(word, asked.runs_dir)) for word in asked.runs]
    for run in runs:
        run.config()  # refuses what is not a run, before TensorFlow starts
    preflight.dataset(asked.dataset, asked.data_dir)
    screen = Screen()
    with starting(screen), quiet(asked.verbose):
        from kerascnn.averaging import soups
    with quiet(asked.verbose):
        soups.check(runs)
        found = soups.make(asked, runs, screen)
    for line in soups.lines(found, runs):
        screen.say(line)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
