"""The directory of a search: the only module that knows its file names.

search.toml oracle/journal.jsonl oracle/oracle.json trials/baseline/ trials/<hash>/ trials.csv importance.csv pareto.png
report.html best.toml promoted/<candidate>_s<seed>/ promotion.csv tensorboard/ log.txt
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from kerascnn.runs import Run
from kerascnn.runs.files import write_file
from kerascnn.studies.study_directory import StudyDirectory

# Events of the journal: a trial began, its process was killed, it ended.
EVENTS = ("began", "lost", "ended")


class SearchDirectory(StudyDirectory):
    """The directory of one search.

    Args:
        path: It need not exist yet.
    """

    kind, way_out = "search", "the same flags"

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self.journal_file = self.path / "oracle" / "journal.jsonl"
        self.trials = self.path / "trials"
        self.promoted = self.path / "promoted"
        self.recipe_file = self.path / "best.toml"
        self.trials_file = self.path / "trials.csv"
        self.importance_file = self.path / "importance.csv"
        self.promotion_file = self.path / "promotion.csv"
        self.picture_file = self.path / "pareto.png"
        self.tensorboard = self.path / "tensorboard"

    def run(self, candidate: str) -> Run:
        """Returns the run of a candidate, by its hash or as `baseline`."""
        return Run(self.trials / candidate)

    def finished_runs(self) -> list[Run]:
        """Returns the finished runs of its candidates, and of the promoted ones."""
        found = [*self.trials.glob("*/metrics.json"), *self.promoted.glob("*/metrics.json")]
        return [Run(file.parent) for file in sorted(found)]

    def claim(self, request: dict[str, Any]) -> None:
        """Writes the terms of the search; in an existing directory they must be the same.

        Raises:
            UserError: The directory contains another search, or something else.
        """
        if self.claimed(request) is None:
            write_file(self.terms_file, tomli_w.dumps(request).encode())

    def write_picture(self, png: bytes) -> None:
        """Writes the plot of score against cost."""
        write_file(self.picture_file, png)

    def write_recipe(self, text: str) -> None:
        """Writes the recipe of the best candidate."""
        write_file(self.recipe_file, text.encode())


class Journal:
    """The events of the oracle in order; each one is on disk before anything depends on it.

    Args:
        path: A file of JSON lines.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def events(self) -> list[dict[str, Any]]:
        """Returns the events up to the first line that is truncated or damaged."""
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
        """Replaces all events."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_file(self.path, "".join(json.dumps(event) + "\n" for event in events).encode())

    def append(self, event: dict[str, Any]) -> None:
        """Adds an event; it is on disk when this returns."""
        with self.path.open("ab") as file:
            file.write(json.dumps(event).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
