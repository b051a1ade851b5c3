"""Measures what experiments/results/scaling.md predicts from, in slices, and writes that page.

    python -m experiments.scaling.series --seconds 400     as often as something is missing
    python -m experiments.scaling.series --table           the page of what is there

All-reduces and a training of one to three processes; the driver of a search.
"""

import argparse
import json
import sys
from pathlib import Path

from experiments.scaling import page
from experiments.speed import units
from experiments.speed.units import Unit

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "experiments" / "results" / "scaling.jsonl"
PROCESSES = (2, 3)


def last(text: str) -> dict[str, float]:
    """Returns the numbers in the last line."""
    found: dict[str, float] = json.loads(text.splitlines()[-1])
    return found


def asked() -> list[Unit]:
    """Returns everything that is measured."""
    found = []
    for processes in PROCESSES:
        command = ("python", "-m", "experiments.scaling.collectives", "--processes", str(processes))
        found.append(Unit(f"reduce {processes}", command, last))
    for processes in (1, *PROCESSES):
        command = ("python", "-m", "experiments.scaling.several", "--processes", str(processes))
        found.append(Unit(f"train {processes}", command, last))
    for candidates, workers, seconds, calls in page.SEARCHES:
        sizes = ("--candidates", str(candidates), "--workers", str(workers), "--training-seconds", str(seconds))
        command = ("python", "-m", "experiments.scaling.driver", *sizes, *(["--calls"] if calls else []))
        name = f"search {candidates} {workers} {seconds}{' calls' if calls else ''}"
        found.append(Unit(name, command, last))
    return found


def main() -> int:
    """Measures what is missing, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", help="kinds of measurements (default: all)")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=400, help="of this slice")
    parser.add_argument("--kept", type=Path, default=KEPT)
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    whole = True
    if not given.table:
        chosen = [unit for unit in asked() if not given.only or unit.name.split()[0] in given.only]
        whole = units.run(chosen, given.rounds, given.kept, given.seconds, {"python": sys.executable})
        print("nothing is missing" if whole else "more is missing: run it again")
    given.kept.with_suffix(".md").write_text(page.text(units.settled(units.read(given.kept))), encoding="utf-8")
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
