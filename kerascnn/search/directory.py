"""A search's directory: the only module that knows the names in it.

search.toml oracle/journal.jsonl oracle/oracle.json trials/baseline/ trials/<hash>/ trials.csv importance.csv pareto.png
report.html best.toml promoted/<candidate>_s<seed>/ promotion.csv tensorboard/ log.txt
"""

import contextlib
import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from kerascnn.cli.recipes import load_toml
from kerascnn.errors import UserError
from kerascnn.runs import Held, Run, hold
from kerascnn.runs.files import names_in, write_file

# Of the journal: a trial began, its process was killed, it ended.
EVENTS = ("began", "lost", "ended")


class Directory:
    """One search's directory.

    Args:
        path: It need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.search_file = path / "search.toml"
        self.journal_file = path / "oracle" / "journal.jsonl"
        self.trials = path / "trials"
        self.promoted = path / "promoted"
        self.recipe_file = path / "best.toml"
        self.trials_file = path / "trials.csv"
        self.importance_file = path / "importance.csv"
        self.promotion_file = path / "promotion.csv"
        self.picture_file = path / "pareto.png"
        self.report_file = path / "report.html"
        self.tensorboard = path / "tensorboard"
        self.log_file = path / "log.txt"

    def run(self, candidate: str) -> Run:
        """A candidate's run, by its hash or as `baseline`."""
        return Run(self.trials / candidate)

    def lock(self) -> contextlib.AbstractContextManager[Held]:
        """Hold the search for this process: see `runs.hold`."""
        return hold(self.path, f"search {self.path.name}", "--searches-dir")

    def claim(self, request: dict[str, Any]) -> None:
        """Keep what is searched; in a directory that is there it must be the same.

        Raises:
            UserError: The directory holds another search, or something else.
        """
        if self.search_file.exists():
            kept, asked = _flat(load_toml(self.search_file)), _flat(request)
            differ = [
                f"  {key}: {kept.get(key, 'nothing')} there, {asked.get(key, 'nothing')} asked for"
                for key in sorted(kept.keys() | asked.keys())
                if kept.get(key) != asked.get(key)
            ]
            if differ:
                raise UserError(
                    f"{self.path} holds another search:\n"
                    + "\n".join(differ)
                    + "\nway out: another --name, or the same flags"
                )
            return
        if names_in(self.path) - {".lock", "log.txt"}:
            raise UserError(f"{self.path} exists and is not a search: choose another --name")
        write_file(self.search_file, tomli_w.dumps(request).encode())

    def write_table(self, path: Path, rows: Sequence[dict[str, Any]]) -> None:
        """Keep rows as CSV; columns in the order in which they first occur."""
        columns = list(dict.fromkeys(key for row in rows for key in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_file(path, text.getvalue().encode("utf-8", "surrogateescape"))

    def write_picture(self, png: bytes) -> None:
        """Keep the plot of score against cost."""
        write_file(self.picture_file, png)

    def write_report(self, html: str) -> None:
        """Keep the page."""
        write_file(self.report_file, html.encode())

    def write_recipe(self, text: str) -> None:
        """Keep the best candidate's."""
        write_file(self.recipe_file, text.encode())


def _flat(request: dict[str, Any]) -> dict[str, Any]:
    """Tables inside as `table key`."""
    found: dict[str, Any] = {}
    for key, value in request.items():
        found |= {f"{key} {name}": v for name, v in value.items()} if isinstance(value, dict) else {key: value}
    return found


class Journal:
    """What happened to the oracle, in order: each event is on disk before anything follows from it.

    Args:
        path: A file of JSON lines.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def events(self) -> list[dict[str, Any]]:
        """The events up to the first line that is cut or damaged."""
        found: list[dict[str, Any]] = []
        if self.path.exists():
            for line in self.path.read_bytes().split(b"\n"):
                try:
                    event = json.loads(line)
                except (ValueError, RecursionError):
                    break
                if not isinstance(event, dict) or event.get("event") not in EVENTS:
                    break
                found.append(event)
        return found

    def rewrite(self, events: Sequence[dict[str, Any]]) -> None:
        """Keep these events and no others."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_file(self.path, "".join(json.dumps(event) + "\n" for event in events).encode())

    def append(self, event: dict[str, Any]) -> None:
        """Add an event; it is on disk when this returns."""
        with self.path.open("ab") as file:
            file.write(json.dumps(event).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
