"""The directory of a comparison: the only module that knows its file names. No TensorFlow."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import tomli_w

from kerascnn.errors import UserError
from kerascnn.runs.files import Record, write_file
from kerascnn.studies.study_directory import StudyDirectory


class ComparisonDirectory(StudyDirectory):
    """The files of a comparison: solved widths, tables, report, log.

    Args:
        path: The directory; it need not exist yet.
    """

    kind, way_out = "comparison", "delete {path} (its runs stay and are reused)"

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self.table_file = self.path / "comparison.csv"
        self.markdown_file = self.path / "comparison.md"
        self.tables = self.path / "tables"
        self.choosing = self.path / "choosing"  # runs that choose among variants, whose test is not read

    def terms_in(self, content: dict[str, Any]) -> dict[str, Any]:
        """Returns the table `request`."""
        if not (isinstance(content.get("request"), dict) and _tables(content.get("cells"))):
            raise UserError(f"{self.terms_file} is damaged: expected the tables request and cells: remove it")
        terms: dict[str, Any] = content["request"]
        return terms

    def solved(self, request: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Returns what an earlier start solved and measured, by cell.

        Raises:
            UserError: The directory contains a comparison on other terms; the message lists the differences.
        """
        kept = self.claimed(request)
        if kept is None:
            return {}
        file = self.terms_file
        return Record({key: Record(dict(cell), file) for key, cell in kept["cells"].items()}, file)

    def keep(
        self, command: str, request: dict[str, Any], cells: dict[str, dict[str, Any]], runs: Sequence[str]
    ) -> None:
        """Writes comparison.toml: the command, the terms, solved widths and costs, and the participants."""
        content = {"command": command, "request": request, "runs": list(runs), "cells": cells}
        write_file(self.terms_file, tomli_w.dumps(content).encode())

    def write_tables(self, csv: str, markdown: str, sheets: Mapping[str, str]) -> None:
        """Writes the main table, the summary as Markdown, and each table of the page."""
        write_file(self.table_file, csv.encode())
        write_file(self.markdown_file, markdown.encode())
        for name, sheet in sheets.items():
            write_file(self.tables / f"{name}.csv", sheet.encode())


def _tables(cells: Any) -> bool:
    return isinstance(cells, dict) and all(isinstance(cell, dict) for cell in cells.values())
