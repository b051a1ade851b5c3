"""Prove that a training which is killed and resumed ends as an undisturbed one, or check an exported version again."""

import json
import sys
from pathlib import Path
from typing import Any

from kerascnn.cli.command import command
from kerascnn.cli.screen import Screen
from kerascnn.config import Config
from kerascnn.data import preflight
from kerascnn.errors import DONE, CheckFailed, UserError
from kerascnn.runs import Run, finding
from kerascnn.runs.files import write_file
from kerascnn.runs.scratch import scratch
from kerascnn.verifying import damage, verify_config
from kerascnn.verifying.verify_config import VerifyConfig


@command
def main(argv: list[str]) -> int:
    """`kerascnn verify`: prints what is equal, or the first difference, which is exit code 1."""
    asked = verify_config.parse(argv, prog="kerascnn verify", description=__doc__ or "")
    target = finding.find(asked.target, asked.logging.runs_dir) if asked.target else None
    screen = Screen()
    if target is not None and not (target / "config.toml").is_file():
        from kerascnn.verifying import artefact

        facts, problems = artefact.check(target, screen)
    else:
        run = None if target is None else Run(target)
        facts, problems = _training(asked, run, screen)
    _certify(asked.verify.certificate, facts, problems, screen)
    if problems:
        raise CheckFailed("\n".join(problems))
    return DONE


def _training(asked: VerifyConfig, run: Run | None, screen: Screen) -> tuple[dict[str, Any], list[str]]:
    """Trains twice and compares; returns what was found, and the differences."""
    if run is None:
        config = preflight.check(asked.config)
    else:
        config = run.config()
        broken = damage.damaged(run)
        if broken:
            return {"run": run.name, "damaged": broken}, [f"damaged {line}" for line in broken]
    with scratch() as folder:
        return _compared(asked, config, run, folder, screen)


def _compared(
    asked: VerifyConfig, config: Config, run: Run | None, folder: Path, screen: Screen
) -> tuple[dict[str, Any], list[str]]:
    from kerascnn.verifying import twins

    network = run.network_file if run is not None and run.network_file.exists() else None
    made = twins.train(config, folder, asked.verify.kills, asked.verify.kill_seed, screen, network)
    with screen.phase("comparing"):
        from kerascnn.verifying import certificate, environments

        parts = certificate.compare(made.calm, made.cut, twins.TRACE)
    sides = {"killed and undisturbed": parts}
    note = ""
    if run is not None:
        note = environments.why_not(run, made.calm)
        if not note:
            sides[f"{run.name} and its twin"] = certificate.compare(run, made.calm)
    problems = []
    for title, found in sides.items():
        screen.say(f"{title}:")
        for part in found:
            screen.say(f"    {part.line()}")
            problems += [f"{title}: {part.name}: {part.difference}"] if part.difference else []
    if note:
        screen.say(f"not compared with the run itself: {note}")
    environment = made.calm.environment()[-1]
    facts = {
        "run": None if run is None else run.name,
        "steps": made.steps,
        "kills": made.kills,
        "kill_seed": asked.verify.kill_seed,
        "compared": {title: [part.facts() for part in found] for title, found in sides.items()},
        "note": note,
        "environment": {key: environment.get(key) for key in environments.SHOWN},
    }
    if not problems:
        screen.say(
            f"equal: {len(made.kills)} kills at steps {' '.join(map(str, made.kills))} of {made.steps:,}", style="bold"
        )
    return facts, problems


def _certify(file: Path | None, facts: dict[str, Any], problems: list[str], screen: Screen) -> None:
    """Writes the certificate, if one is asked for.

    Raises:
        UserError: The file's folder is missing.
    """
    if file is None:
        return
    if not file.parent.is_dir():
        raise UserError(f"--certificate {file}: there is no folder {file.parent}")
    content = {"passed": not problems, **facts, "problems": problems}
    write_file(file, (json.dumps(content, indent=2) + "\n").encode())
    screen.say(f"kept    {file}")


if __name__ == "__main__":
    sys.exit(main())
