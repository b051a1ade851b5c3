"""A comparison's directory: the only module that knows the names in it. No TensorFlow."""

import contextlib
import datetime
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from kerascnn.cli.recipes import load_toml
from kerascnn.errors import UserError
from kerascnn.runs import Held, hold
from kerascnn.runs.files import Record, names_in, write_file
from kerascnn.runs.locks import LOCK_FILE


class Directory:
    """One comparison's files: what was solved, the tables, the report, what the screen showed.

    Args:
        path: The directory; it need not exist yet.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.name = self.path.name
        self.comparison_file = self.path / "comparison.toml"
        self.table_file = self.path / "comparison.csv"
        self.markdown_file = self.path / "comparison.md"
        self.tables = self.path / "tables"
        self.choosing = self.path / "choosing"  # runs that choose among variants and whose test is not read
        self.report_file = self.path / "report.html"
        self.log_file = self.path / "log.txt"

    def lock(self) -> contextlib.AbstractContextManager[Held]:
        """Hold the comparison for this process: see `runs.hold`."""
        return hold(self.path, f"comparison {self.name}", "--comparisons-dir")

    def solved(self, request: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """What an earlier start solved and measured, by cell; empty where there was none.

        Raises:
            UserError: The directory holds a comparison on other terms; lists what differs.
        """
        if not self.comparison_file.exists():
            if names_in(self.path) - {self.log_file.name, ".lock"}:
                raise UserError(f"{self.path} exists and is no comparison: choose another --name")
            return {}
        kept = load_toml(self.comparison_file)
        if not (isinstance(kept.get("request"), dict) and _tables(kept.get("cells"))):
            raise UserError(f"{self.comparison_file} is damaged: expected the tables request and cells: remove it")
        differ = [
            f"  {key}: {kept['request'].get(key)!r} there, {request.get(key)!r} asked for"
            for key in sorted(kept["request"].keys() | request.keys())
            if kept["request"].get(key) != request.get(key)
        ]
        if differ and names_in(self.path) <= {self.comparison_file.name, LOCK_FILE}:
            return {}  # a plan that was only looked at is in nobody's way
        if differ:
            raise UserError(
                f"comparison {self.name} exists on other terms:\n"
                + "\n".join(differ)
                + f"\nway out: another --name, or delete {self.path} (its runs stay and are reused)"
            )
        file = self.comparison_file
        return Record({key: Record(dict(cell), file) for key, cell in kept["cells"].items()}, file)

    def keep(
        self, command: str, request: dict[str, Any], cells: dict[str, dict[str, Any]], runs: Sequence[str]
    ) -> None:
        """Write comparison.toml: the command, what decides the runs, what was solved and measured, who takes part."""
        content = {"command": command, "request": request, "runs": list(runs), "cells": cells}
        write_file(self.comparison_file, tomli_w.dumps(content).encode())

    def write_tables(self, csv: str, markdown: str, sheets: Mapping[str, str]) -> None:
        """Keep the main table, the same words and tables as Markdown, and each table of the page by its name."""
        write_file(self.table_file, csv.encode())
        write_file(self.markdown_file, markdown.encode())
        for name, sheet in sheets.items():
            write_file(self.tables / f"{name}.csv", sheet.encode())

    def write_report(self, html: str) -> None:
        """Keep the page."""
        write_file(self.report_file, html.encode())


def _tables(cells: Any) -> bool:
    return isinstance(cells, dict) and all(isinstance(cell, dict) for cell in cells.values())


def clock(seconds_from_now: float) -> str:
    """The time of day that is so far away, with the date where that is another day."""
    then = datetime.datetime.now() + datetime.timedelta(seconds=seconds_from_now)
    return then.strftime("%H:%M" if then.date() == datetime.date.today() else "%Y-%m-%d %H:%M")
