"""Two measurements of `measure.py` side by side, as Markdown.

    python -m experiments.phases.phase_table BEFORE AFTER

BEFORE and AFTER are its OUT folders.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def read(folder: str) -> dict[str, Any]:
    return json.loads((Path(folder) / "timings.json").read_text(encoding="utf-8"))


def main() -> None:
    before, after = read(sys.argv[1]), read(sys.argv[2])
    heads = [
        f"{when}{what}" for when in ("before: ", "after: ") for what in ("all", "training", "rest", "longest silence")
    ]
    print("| command | " + " | ".join(heads) + " |")
    print("|---" * (1 + len(heads)) + "|")
    for name, new in after.items():
        old = before[name]
        cells = [f"`{name}`"]
        for one in (old, new):
            rest = one["seconds"] - one["training"]
            cells += [f"{one['seconds']:.1f}", f"{one['training']:.1f}", f"**{rest:.1f}**", f"{one['silence']:.1f}"]
        print("| " + " | ".join(cells) + " |")
    for name, new in after.items():
        print(f"\n`{name}`, after: " + ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in new["phases"]))


if __name__ == "__main__":
    main()
