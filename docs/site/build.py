"""Builds the site: the README, docs/, and what these link to, as HTML pages, with a reference from the docstrings.

    pip install -e ".[docs]"
    python docs/site/build.py

The pages keep their places, so that their links are right in a checkout, on a code host and on the site. zensical is the
successor of Material for MkDocs, whose support ended in November 2026.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)")
# Title -> the names that a page of the reference documents.
REFERENCE = {
    "layers": ("Layers", "kerascnn.layers"),
    "library": ("Networks and predictors", "kerascnn.models.build", "kerascnn.load", "kerascnn.artefacts.predictor"),
}


def main() -> int:
    """Writes the site to build/site; returns zensical's exit code."""
    target = ROOT / "build"
    pages = target / "pages"
    shutil.rmtree(pages, ignore_errors=True)
    collect(pages)
    for name, (title, *documented) in REFERENCE.items():
        file = pages / "docs/reference" / f"{name}.md"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"# {title}\n\n" + "".join(f"::: {one}\n\n" for one in documented), encoding="utf-8")
    shutil.copyfile(HERE / "zensical.toml", target / "zensical.toml")
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    return subprocess.run(command, cwd=target, check=False).returncode


def collect(pages: Path) -> None:
    """Copies the README, docs/ and everything that pages link to, each to its place below `pages`."""
    waiting = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    done: set[Path] = set()
    while waiting:
        file = waiting.pop()
        if file in done:
            continue
        done.add(file)
        place = pages / file.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
        if file.suffix == ".md":
            links = LINK.findall(file.read_text(encoding="utf-8"))
            waiting += [target for link in links if (target := (file.parent / link).resolve()).is_file()]


if __name__ == "__main__":
    sys.exit(main())
