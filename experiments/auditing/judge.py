"""Compares what an audit found with the faults that `plant` planted: precision and recall by kind.

python -m experiments.auditing.judge PLANTED/planted.csv AUDIT [AUDIT OF THE RUN]

The second audit, if given, is the one whose suspect labels are judged.
"""

import argparse
import csv
import json
from pathlib import Path

from experiments.auditing.plant import KINDS

FOUND_AS = {"duplicate": "exact", "resized": "near", "mirrored": "mirrored"}


def rows(path: Path) -> list[dict[str, str]]:
    """Returns the rows of a CSV file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def found_by(audit: Path, labels: Path) -> dict[str, set[frozenset[str]]]:
    """Returns what an audit found by kind of fault, as sets of files."""
    pairs = rows(audit / "pairs.csv")
    found = {
        kind: {frozenset((pair["path"], pair["copy"])) for pair in pairs if pair["kind"] == name}
        for kind, name in FOUND_AS.items()
    }
    findings = rows(audit / "findings.csv")
    found["truncated"] = {frozenset((row["path"],)) for row in findings if row["kind"] in ("truncated", "undecodable")}
    suspects = json.loads((labels / "audit.json").read_text())["suspects"]
    found["label"] = {frozenset((row["id"],)) for row in (suspects["labels"] if suspects else ())}
    return found


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("planted", type=Path)
    parser.add_argument("audit", type=Path)
    parser.add_argument("labels", type=Path, nargs="?")
    asked = parser.parse_args()
    planted = rows(asked.planted)
    found = found_by(asked.audit, asked.labels or asked.audit)
    print("| planted | n | found | recall | listed | precision |\n|---|---|---|---|---|---|")
    for kind in KINDS:
        copies = kind in FOUND_AS
        there = {
            frozenset((row["path"], row["origin"]) if copies else (row["path"],))
            for row in planted
            if row["kind"] == kind
        }
        hits, listed = len(there & found[kind]), len(found[kind])
        precision = f"{hits / listed:.0%}" if listed else "-"
        recall = f"{hits / len(there):.0%}" if there else "-"
        print(f"| {kind} | {len(there)} | {hits} | {recall} | {listed} | {precision} |")


if __name__ == "__main__":
    main()
