"""A stranger's path from the built files to a trained network, timed: python -m experiments.install PYTHON...

For every Python that is given (a name or a path), in a folder outside the repository: an environment of its own, the wheel of
this checkout installed with wheels only (but for one dependency that has none), `kerascnn predict demo IMAGE`, the first
command of the README, and the same command again, which has nothing left to do. With the first Python also the source archive,
installed and asked for its recipes. Prints a page in Markdown; exits 1 where a command failed.
"""

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
MEGABYTE = 1e6
SOURCE_ONLY = "promise"  # of tensorflow-datasets: pure Python, without a wheel on the index


class Step(NamedTuple):
    """One command of the path: what it was, whether it ended with 0, its seconds, and the last line that it printed."""

    command: str
    right: bool
    seconds: float
    last: str


def main() -> int:
    """Builds, installs, runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", nargs="+", help="interpreters that TensorFlow has wheels for")
    parser.add_argument(
        "--image", type=Path, required=True, help="a picture of a piece of clothing for the demo network"
    )
    parser.add_argument("--constraints", type=Path, help="fixed versions; without it, the newest that are allowed")
    parser.add_argument("--builder", default=sys.executable, help="a Python that has the package build")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "built"
        subprocess.run([given.builder, "-m", "build", "--outdir", built, ROOT], check=True, stdout=subprocess.DEVNULL)
        (wheel,), (archive,) = built.glob("*.whl"), built.glob("*.tar.gz")
        print(contents_table(wheel, archive))
        right = True
        for number, python in enumerate(given.pythons):
            place = Path(folder) / str(number)
            steps = path_of(python, wheel, given.image.resolve(), given.constraints, place)
            if not number:
                steps += archive_of(python, archive, given.constraints, Path(folder) / "archive")
            print(steps_table(version_of(python), steps))
            right = right and all(step.right for step in steps)
        print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} logical CPUs, commit {commit()}.")
    return 0 if right else 1


def path_of(python: str, wheel: Path, image: Path, constraints: Path | None, place: Path) -> list[Step]:
    """The steps of a stranger with the wheel in the empty folder `place`."""
    empty = place / "empty"
    empty.mkdir(parents=True)
    kerascnn = place / "venv" / "bin" / "kerascnn"
    first = [kerascnn.with_name("python"), "-m", "kerascnn.fit", "--arch", "resnet"]
    return [
        timed("python -m venv", [python, "-m", "venv", place / "venv"], empty),
        timed("pip install WHEEL", installing(place, wheel, constraints), empty),
        timed("kerascnn predict demo IMAGE", [kerascnn, "predict", "demo", image], empty),
        timed("python -m kerascnn.fit --arch resnet", first, empty),
        timed("the same again", first, empty),
        timed("kerascnn predict latest IMAGE", [kerascnn, "predict", "latest", image], empty),
    ]


def archive_of(python: str, archive: Path, constraints: Path | None, place: Path) -> list[Step]:
    """The steps of a stranger with the source archive."""
    place.mkdir(parents=True)
    fit = [place / "venv" / "bin" / "kerascnn", "fit", "--config", "quick", "--print-config"]
    return [
        timed("python -m venv", [python, "-m", "venv", place / "venv"], place),
        timed("pip install SOURCE ARCHIVE", installing(place, archive, constraints), place),
        timed("kerascnn fit --config quick --print-config", fit, place),
    ]


def installing(place: Path, what: Path, constraints: Path | None) -> list[str | Path]:
    """The command that installs a file with wheels only; the file itself may be a source archive."""
    pinned: list[str | Path] = ["-c", constraints.resolve()] if constraints else []
    built = f"{SOURCE_ONLY},kerascnn" if what.suffix == ".gz" else SOURCE_ONLY
    only = ["--only-binary", ":all:", "--no-binary", built]
    return [place / "venv" / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", *only, *pinned, what]


def timed(name: str, command: list[str | Path], folder: Path) -> Step:
    """Runs one command in `folder`, with no path of this repository in its environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "KERASCNN"))}
    began = time.perf_counter()
    if not Path(command[0]).exists():
        return Step(name, False, 0.0, f"{Path(command[0]).name} was not installed")
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    said = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return Step(name, done.returncode == 0, seconds, said[-1].strip() if said else "")


def contents_table(wheel: Path, archive: Path) -> str:
    """The sizes of both files, and what the wheel holds, the largest folders first."""
    sizes, counts = Counter[str](), Counter[str]()
    with zipfile.ZipFile(wheel) as file:
        for member in file.infolist():
            parts = member.filename.split("/")
            place = "/".join(parts[:2]) if len(parts) > 2 else parts[0]
            sizes[place] += member.compress_size
            counts[place] += 1
    rows = [f"| `{place}` | {counts[place]} | {size / MEGABYTE:.3f} |" for place, size in sizes.most_common(8)]
    rest = sizes.most_common()[8:]
    rows.append(
        f"| {len(rest)} more folders | {sum(counts[p] for p, _ in rest)} | {sum(s for _, s in rest) / MEGABYTE:.3f} |"
    )
    title = (
        f"Wheel {wheel.stat().st_size / MEGABYTE:.2f} MB, source archive {archive.stat().st_size / MEGABYTE:.2f} MB."
    )
    return "\n".join([title, "", "| in the wheel | files | MB, compressed |", "|---|--:|--:|", *rows, ""])


def steps_table(version: str, steps: list[Step]) -> str:
    """The steps of one Python as a table."""
    rows = [
        f"| `{step.command}` | {step.seconds:.1f} | {'' if step.right else '**failed** '}{shown(step.last)} |"
        for step in steps
    ]
    return "\n".join([f"## {version}", "", "| command | seconds | its last line |", "|---|--:|---|", *rows, ""])


def shown(line: str) -> str:
    """A printed line inside a cell of a table: no path of this machine, no bars."""
    line = re.sub(r"(?<![\w.])/(?:[^/\s:]+/)+", ".../", line)
    return f"`{line.replace('|', '/')}`" if line else ""


def version_of(python: str) -> str:
    """Such as `Python 3.11.2`."""
    return subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def commit() -> str:
    """The short hash of the checkout's commit."""
    ask = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
