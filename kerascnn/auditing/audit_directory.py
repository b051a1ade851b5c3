"""The directory of an audit: the only module that knows its file names. No TensorFlow."""

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kerascnn.errors import UserError
from kerascnn.runs.files import OUTPUT_MARK, make_output, names_in, write_file


class AuditDirectory:
    """The files of an audit; all are written at its end, the page last.

    Args:
        path: The directory; it need not exist yet.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.json_file = self.path / "audit.json"
        self.exclude_file = self.path / "exclude.csv"
        self.relabel_file = self.path / "relabel.csv"
        self.findings_file = self.path / "findings.csv"
        self.pairs_file = self.path / "pairs.csv"
        self.report_file = self.path / "report.html"

    def check(self) -> None:
        """Checks before the audit, which may take minutes, that its results can be written.

        Raises:
            UserError: The folder has other files, is a file, or cannot be written.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"--output {self.path} is a file: expected a folder, or a name for a new one")
        if names_in(self.path) - {OUTPUT_MARK} and not self.json_file.exists():
            raise UserError(f"--output {self.path} exists and is not an audit: choose another folder")
        if self.path.is_dir() and not os.access(self.path, os.W_OK | os.X_OK):
            raise UserError(f"--output {self.path} cannot be written: make it writable, or choose another folder")

    def write(
        self, summary: Mapping[str, Any], tables: Mapping[Path, tuple[Sequence[str], Iterable]], page: str
    ) -> None:
        """Writes everything, each file as a whole.

        Args:
            summary: The content of audit.json.
            tables: The header and the rows of each CSV file.
            page: The HTML page.
        """
        make_output(self.path)
        for file, (header, rows) in tables.items():
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)
            write_file(file, text.getvalue().encode("utf-8", "surrogateescape"))
        write_file(self.json_file, json_text(summary).encode("utf-8", "surrogateescape"))
        write_file(self.report_file, page.encode("utf-8", "backslashreplace"))


def json_text(summary: Mapping[str, Any]) -> str:
    """Returns audit.json."""
    return json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
