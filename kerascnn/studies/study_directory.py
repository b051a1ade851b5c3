"""The directory of a study, which belongs to the terms of that study and is held by one process at a time. No TensorFlow."""

import contextlib
import csv
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from kerascnn.cli.recipes import load_toml
from kerascnn.errors import UserError
from kerascnn.runs import Lease, hold
from kerascnn.runs.files import names_in, write_file


class StudyDirectory:
    """The common files of all studies: lease, terms, report, log.

    Args:
        path: The directory; it need not exist yet.

    Attributes:
        kind: Kind of study, which is also the name of the file of terms.
        naming: Flag that names it.
        way_out: What to do, besides choosing another name, if it contains a study on other terms.
    """

    kind: ClassVar[str]
    way_out: ClassVar[str]
    naming: ClassVar[str] = "--name"

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.name = self.path.name
        self.terms_file = self.path / f"{self.kind}.toml"
        self.report_file = self.path / "report.html"
        self.log_file = self.path / "log.txt"

    def lock(self, say: Callable[[str], None] | None = None) -> contextlib.AbstractContextManager[Lease]:
        """Holds the directory for this process: see `lease.hold`."""
        return hold(self.path, f"{self.kind} {self.name}", say=say)

    def terms_in(self, content: dict[str, Any]) -> dict[str, Any]:
        """Returns the terms in the file of terms, here its whole content."""
        return content

    def claimed(self, terms: dict[str, Any]) -> dict[str, Any] | None:
        """Returns what an earlier start on the same terms has written with them, or None if there was none.

        Raises:
            UserError: The directory contains a study on other terms (the message lists the differences), or something else.
        """
        if not self.terms_file.exists():
            if names_in(self.path) - {self.log_file.name}:
                raise UserError(f"{self.path} exists and is not a {self.kind}: choose another {self.naming}")
            return None
        content = load_toml(self.terms_file)
        differ = _differing(_flat(self.terms_in(content)), _flat(terms))
        if not differ:
            return content
        if names_in(self.path) <= {self.terms_file.name}:
            return None  # a plan that was only displayed does not claim the directory
        raise UserError(
            f"{self.kind} {self.name} exists on other terms:\n"
            + "\n".join(differ)
            + f"\nway out: another {self.naming}, or {self.way_out.format(path=self.path)}"
        )

    def write_table(self, path: Path, rows: Sequence[dict[str, Any]]) -> None:
        """Writes rows as CSV, with columns in the order of their first occurrence."""
        columns = list(dict.fromkeys(key for row in rows for key in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_file(path, text.getvalue().encode("utf-8", "surrogateescape"))

    def write_report(self, html: str) -> None:
        """Writes the report page."""
        write_file(self.report_file, html.encode())


def _differing(kept: dict[str, Any], asked: dict[str, Any]) -> list[str]:
    return [
        f"  {key}: {kept.get(key, 'nothing')!s} there, {asked.get(key, 'nothing')!s} asked for"
        for key in sorted(kept.keys() | asked.keys())
        if kept.get(key) != asked.get(key)
    ]


def _flat(terms: dict[str, Any]) -> dict[str, Any]:
    """Returns nested tables with keys `table key`."""
    found: dict[str, Any] = {}
    for key, value in terms.items():
        found |= {f"{key} {name}": v for name, v in value.items()} if isinstance(value, dict) else {key: value}
    return found
