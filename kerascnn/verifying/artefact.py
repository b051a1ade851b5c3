"""Checks an exported version on this machine: its files by their sums, and its answers by those of the export's machine."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np

from kerascnn.artefacts import reference
from kerascnn.artefacts.card import README_FILE
from kerascnn.artefacts.exporting import NEEDS, PARITY_FILE
from kerascnn.artefacts.fresh import FreshProcess
from kerascnn.artefacts.parity import Agreement
from kerascnn.artefacts.proof import FORMATS, MAX_DROP, TOLERANCE, Artefact
from kerascnn.artefacts.versions import versions
from kerascnn.cli.extras import missing
from kerascnn.cli.screen import Screen
from kerascnn.errors import UserError
from kerascnn.runs.files import read_json

_SUM = re.compile(r"    ([0-9a-f]{64})  (.+)")


def check(target: Path, screen: Screen) -> tuple[dict[str, Any], list[str]]:
    """Returns what was found, and the problems.

    Args:
        target: A version, a folder of versions (the newest is checked), or a file of a version.
        screen: Takes lines.

    Raises:
        UserError: It is not an export.
    """
    version = _version(target)
    screen.say(f"export  {version}")
    sums, problems = _sums(version)
    for line in problems:
        screen.say(f"damaged {line}")
    screen.say(f"sums    {sums} files have their sha256" + (f", {len(problems)} have not" if problems else ""))
    facts: dict[str, Any] = {"export": str(version.name), "files": sums}
    if problems:
        return {**facts, "damaged": problems}, [f"{version}: {line}" for line in problems]
    known = reference.read(version)
    if known is None:
        screen.say("answers not compared: an earlier version of kerascnn made this export, without reference.json")
        return facts, []
    facts["changed"] = _changed(known, screen)
    facts["answers"], problems = _answers(version, known, screen)
    return facts, problems


def _version(target: Path) -> Path:
    for folder in (target, *target.parents[:3]):
        if (folder / PARITY_FILE).is_file():
            return folder
    numbers = versions(target)
    if numbers and (target / str(numbers[-1]) / PARITY_FILE).is_file():
        return target / str(numbers[-1])
    raise UserError(
        f"{target} is neither a run nor an export of kerascnn: expected config.toml or {PARITY_FILE} in it, or a version "
        "such as saved_models/NAME/1"
    )


def _sums(version: Path) -> tuple[int, list[str]]:
    """Returns how many files have the sum in the README, and a line for each that has not.

    Raises:
        UserError: The README with the sums is missing or has none.
    """
    path = version / README_FILE
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    listed = [match.groups() for match in map(_SUM.fullmatch, text.partition("\n## sha256\n")[2].splitlines()) if match]
    if not listed:
        raise UserError(f"{path}: expected the list of sha256 sums that every export has")
    problems = []
    for expected, name in listed:
        file = version / name
        if not file.is_file():
            problems.append(f"{name} is missing")
        elif (found := hashlib.sha256(file.read_bytes()).hexdigest()) != expected:
            problems.append(f"{name} has sha256 {found[:12]}..., expected {expected[:12]}...")
    return len(listed) - len(problems), problems


def _changed(known: reference.Reference, screen: Screen) -> dict[str, list[Any]]:
    """Returns what differs between the machine of the export and this one, and says it."""
    now = reference.here()
    keys = [key for key in dict.fromkeys((*known.machine, *now)) if known.machine.get(key) != now.get(key)]
    for key in keys:
        screen.say(f"changed {key}: {known.machine.get(key, 'none')} at the export, {now.get(key, 'none')} here")
    if not keys:
        screen.say("machine same processor, instruction set and library versions as at the export")
    return {key: [known.machine.get(key), now.get(key)] for key in keys}


def _answers(version: Path, known: reference.Reference, screen: Screen) -> tuple[list[dict[str, Any]], list[str]]:
    """Asks each artefact in a new process; returns a row for each, and the problems."""
    size = int(read_json(version / "assets" / "metadata.json")["image_size"])
    rows, problems = [], []
    every = {artefact.name: artefact for artefacts in FORMATS.values() for artefact in artefacts}
    for name, expected in known.outputs.items():
        artefact = every.get(name)
        if artefact is None or not _there(version, artefact):
            continue
        if absent := missing(*NEEDS.get(artefact.form, ())):
            screen.say(f"skipped {name}: {', '.join(absent)} is not installed")
            continue
        with screen.phase(f"asking {name}"), FreshProcess(artefact.form) as fresh:
            try:
                path = version / artefact.file if artefact.file else version
                found = fresh.ask(artefact.form, path, reference.images(size)).images
            except RuntimeError as error:
                problems.append(f"{name} does not run here: {str(error).splitlines()[-1]}")
                continue
        rows.append(_row(name, artefact, expected, found))
        said = f"largest difference {rows[-1]['max_difference']:.1e}, same top-1 {rows[-1]['top1']:.0%}"
        screen.say(f"{'same' if rows[-1]['passed'] else 'differs':7} {name}: {said} on {len(expected)} images")
        if not rows[-1]["passed"]:
            problems.append(f"{name} answers otherwise than at the export: {said}")
    return rows, problems


def _row(name: str, artefact: Artefact, expected: np.ndarray, found: np.ndarray) -> dict[str, Any]:
    agreement = Agreement.of(expected, found)
    exact = agreement.max_difference <= TOLERANCE
    passed = exact if artefact.exact else exact or 100 * (1 - agreement.top1) <= MAX_DROP
    return {"artefact": name, **agreement._asdict(), "passed": bool(passed)}


def _there(version: Path, artefact: Artefact) -> bool:
    return (version / (artefact.file or "saved_model.pb")).is_file()
