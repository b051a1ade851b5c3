"""Lists what lies under experiments/results, with number, n, seeds, device, command and commit, in experiments/README.md.

    python -m experiments.results_table             rewrites the table
    python -m experiments.results_table --check     exit 1 where the table is not what the results say

A comparison's directory speaks for itself, other numbers are entries of results/results.toml, other pages are named.
"""

import re
import sys
from pathlib import Path
from typing import NamedTuple

from kerascnn.cli.command import command
from kerascnn.cli.recipes import load_toml
from kerascnn.errors import DONE, CheckFailed, UserError
from kerascnn.runs import with_door
from kerascnn.runs.files import write_file

HERE = Path(__file__).resolve().parent
BEGIN, END = "<!-- results -->", "<!-- /results -->"


class Result(NamedTuple):
    """One row.

    Args:
        file: Relative to experiments/results.
        what: What was measured.
        value: The headline number, with its interval where it has one.
        n: Images.
        seeds: How many.
        device: What it ran on.
        command: What made it.
        commit: Of the program.
    """

    file: str
    what: str
    value: str
    n: str
    seeds: str
    device: str
    command: str
    commit: str


def results(folder: Path) -> list[Result]:
    """Every result below `folder`.

    Raises:
        UserError: An entry lacks a field, or its file is missing.
    """
    entries = load_toml(folder / "results.toml")["result"]
    found = [_entry(folder, entry) for entry in entries]
    found += [_comparison(folder, file.parent) for file in sorted(folder.glob("*/comparison.toml"))]
    known = {row.file for row in found}
    # A page without a headline of its own is listed by its title, so that nothing goes unlisted.
    return found + [_page(path) for path in sorted(folder.glob("*.md")) if path.name not in known]


def _page(path: Path) -> Result:
    title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    return Result(path.name, title, "see there", *[""] * 5)


def _entry(folder: Path, entry: dict[str, object]) -> Result:
    missing = [name for name in Result._fields if name not in entry]
    strange = [name for name in entry if name not in Result._fields]
    if missing or strange:
        raise UserError(f"results.toml: expected {', '.join(Result._fields)}, got {entry}")
    if not (folder / str(entry["file"])).exists():
        raise UserError(f"results.toml: {entry['file']} is not there")
    return Result(**{name: str(value) for name, value in entry.items()})


def _comparison(folder: Path, path: Path) -> Result:
    """A comparison's row, from the files that `compare` wrote."""
    text = _plain((path / "comparison.md").read_text(encoding="utf-8"))
    verdict = _found(r"\*\*(.+?)\*\*", text, path)
    shown = f"{path.name}/report.html" if (path / "report.html").exists() else f"{path.name}/comparison.md"
    command = load_toml(path / "comparison.toml")["command"]
    return Result(
        file=shown,
        what=verdict.partition(":")[0],
        value=re.sub(r" \([^()]*\)\.?$", "", verdict.partition(": ")[2]),
        n=_found(r"([\d,]+) (?:test|val) images", verdict, path),
        seeds=_found(r"(\d+(?: of \d+)?) seeds?", verdict, path),
        device=_found(r"^- (?:device|reason): (.+)$", text, path),
        command=re.sub(r" --(?:runs-dir|comparisons-dir|data-dir) (?:'[^']*'|\S)+", "", with_door(command)),
        commit=_found(r"^- (?:git_)?commit: (.+)$", text, path),
    )


def _plain(text: str) -> str:
    """Markdown as it reads."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _found(pattern: str, text: str, path: Path) -> str:
    match = re.search(pattern, text, flags=re.M)
    if match is None:
        raise UserError(f"{path}/comparison.md: expected {pattern!r} in it; compare writes it anew")
    return match[1]


def table(found: list[Result]) -> str:
    """The rows as Markdown."""
    lines = ["| result | number | n | seeds | device | command | commit |", "|---|---|--:|--:|---|---|---|"]
    for row in found:
        cells = (row.value, row.n, row.seeds, row.device)
        safe = [cell.replace("|", "\\|") for cell in cells]
        command = f"`{row.command}`" if row.command else ""
        lines.append(f"| [{row.what}](results/{row.file}) | {' | '.join(safe)} | {command} | {row.commit} |")
    return "\n".join(lines)


@command
def main(argv: list[str]) -> int:
    """Rewrite the table, or check it."""
    if argv not in ([], ["--check"]):
        raise UserError(f"expected nothing or --check, got {' '.join(argv)}")
    readme = HERE / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    if END not in rest:
        raise UserError(f"{readme.name}: expected a place for the table, {BEGIN} and {END}")
    fresh = f"{before}{BEGIN}\n{table(results(HERE / 'results'))}\n{END}{rest.partition(END)[2]}"
    if argv and fresh != text:
        raise CheckFailed("experiments/README.md is not what the results say: python -m experiments.results_table")
    write_file(readme, fresh.encode())
    return DONE


if __name__ == "__main__":
    sys.exit(main())
