"""Which score tells images of unknown classes: finished runs against folders of other data sets, as Markdown.

    python -m experiments.unknown RUN... --folders FOLDER... > experiments/results/unknown.md

A folder whose name is that of a run's data set is left out for that run. Measured results are kept in --keep, so that the command
goes on where it was stopped.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

INTRODUCTION = """# Which score tells images of unknown classes?

Made by

    python -m experiments.unknown RUN... --folders FOLDER... > experiments/results/unknown.md

Runs: {runs}. AUROC of the run's test images against the images of a folder, in percent, and below
it the share of the folder's images that is accepted where 95 % of test are (FPR at 95 % TPR). 95 % intervals over images.

| trained on | unknown (n) | {names} |
|---|---|{columns}
"""


def measured(run: Path, folder: Path, keep: Path) -> dict[str, Any]:
    """Returns the entry of `evaluate --unknown`."""
    file = keep / f"{run.name}-{folder.name}.json"
    if not file.exists():
        from kerascnn.evaluation import evaluated_model, unknown

        subject = evaluated_model.find(run, None, None, "test")
        print(f"{run.name}, {folder}", file=sys.stderr)
        file.write_text(json.dumps(unknown.measured(subject, str(folder), 0.95)[0]))
    return json.loads(file.read_text())


def _cell(interval: dict[str, float]) -> str:
    return f"{interval['value'] * 100:.1f} [{interval['low'] * 100:.1f}, {interval['high'] * 100:.1f}]"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--folders", nargs="+", type=Path, required=True)
    parser.add_argument("--keep", type=Path, default=Path("experiments/runs/unknown"))
    asked = parser.parse_args()
    asked.keep.mkdir(parents=True, exist_ok=True)
    pairs = [(run, folder) for run in asked.runs for folder in asked.folders if folder.name not in run.name]
    found = [(run, folder, measured(run, folder, asked.keep)) for run, folder in pairs]
    names = list(found[0][2]["detection"])
    print(
        INTRODUCTION.format(
            runs=", ".join(run.name for run in asked.runs), names=" | ".join(names), columns="--:|" * len(names)
        )[:-1]
    )
    for run, folder, entry in found:
        for key in ("auroc", "accepted"):
            cells = [_cell(entry["detection"][name][key]) for name in names]
            first = f"{run.name} | {folder.name} ({entry['n']:,})" if key == "auroc" else " | accepted"
            print(f"| {first} | {' | '.join(cells)} |")
    for key in ("auroc", "accepted"):
        means = [np.mean([entry["detection"][name][key]["value"] for _, _, entry in found]) for name in names]
        print(f"| mean of {len(found)} pairs | {key} | {' | '.join(f'**{mean * 100:.1f}**' for mean in means)} |")
    print("\nAccepted of test, where 95 % are asked of calibration images or val: ", end="")
    print(
        "; ".join(
            f"{run.name} {entry['accepted']['value']:.1%}" for run, folder, entry in found if folder == pairs[0][1]
        )
        or "-"
    )


if __name__ == "__main__":
    main()
