"""List runs with state, arch, data, score with its interval, and date; the best first."""

import datetime
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field

from kerascnn.cli.command import command
from kerascnn.cli.escaping import one_line
from kerascnn.cli.parsing import parse
from kerascnn.config import Config
from kerascnn.config.section import Section
from kerascnn.errors import DONE, UserError
from kerascnn.runs import finding, summary
from kerascnn.runs.summary import Summary

SCORE = 4  # column of the score


class List(Section):
    """The flags of `kerascnn list`."""

    folder: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[DIR]")] = Field(
        "", description="a folder of runs, a run, or latest (default: experiments/runs)"
    )
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = Field(
        False, description="print one JSON object per line and nothing else"
    )


@command
def main(argv: list[str]) -> int:
    """`kerascnn list`: prints a table, or JSON lines."""
    asked = parse(List, argv, prog="kerascnn list", description=__doc__ or "")
    home = Config().logging.runs_dir
    folder = finding.find(asked.folder, home, finished=False) if asked.folder else home
    if asked.folder and not folder.is_dir():
        raise UserError(f"{one_line(str(folder))} is a file: expected a folder of runs, or a run")
    found = summary.in_order([summary.summarize(run) for run in finding.below(folder)])
    if asked.as_json:
        for one in found:
            print(json.dumps(one.as_dict(), allow_nan=False))
    elif found:
        for line in _lines(found):
            print(line)
    else:
        print(f"no runs in {one_line(str(folder))}: kerascnn fit trains one (kerascnn list DIR lists another folder)")
    return DONE


def _lines(found: list[Summary]) -> Iterator[str]:
    titles = dict.fromkeys(one.headline.title for one in found)
    header = ("run", "state", "arch", "data", " or ".join(titles), "[95 %]", "when")
    rows = [header, *(_row(one) for one in found)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    for row in rows:
        cells = [
            cell.rjust(width) if i == 4 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
    for one in found:
        if one.state in ("failed", "damaged"):
            yield f"{one_line(one.run.name)}: {one.detail}"


def _row(one: Summary) -> tuple[str, ...]:
    place = f" at {one.detail}" if one.state == "stopped" else f", {one.detail}" if one.state == "running" else ""
    score = "" if one.score is None else f"{one.split} {one.headline.show(one.score)}"
    interval = "" if one.interval is None else f"[{', '.join(map(one.headline.show, one.interval))}]"
    moment = datetime.datetime.fromtimestamp(one.when).strftime("%Y-%m-%d %H:%M")
    name, arch, data = (one_line(text) for text in (one.run.name, one.arch or "-", Path(one.dataset).name or "-"))
    return name, f"{one.state}{place}", arch, data, score, interval, moment


if __name__ == "__main__":
    sys.exit(main())
