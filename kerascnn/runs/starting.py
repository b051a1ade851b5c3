"""The record of a start: time, folder, command, commit. No TensorFlow."""

import datetime
import shlex
import subprocess
import sys
from pathlib import Path

CHILD_FLAG = "--child="  # of a process that another one of this program has started: no user types it


def directory() -> dict[str, str]:
    """Returns the working directory of a start, for relative paths; empty if it is gone or not text."""
    try:
        here = str(Path.cwd())
        here.encode()
    except (OSError, UnicodeEncodeError):
        return {}
    return {"directory": here}


def now() -> str:
    """Returns the present time in UTC, ISO 8601."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def shown_command() -> str:
    """Returns the command line as a user would type it."""
    door = Path(sys.argv[0]).stem if sys.argv and sys.argv[0] else "kerascnn"
    return with_door(shlex.join([door, *(word for word in sys.argv[1:] if not word.startswith(CHILD_FLAG))]))


def with_door(kept: str) -> str:
    """Returns a recorded command in a form that runs; without a program it becomes `python -m kerascnn.<command>`."""
    return kept if kept.split(" ")[0] in ("kerascnn", "python") else f"python -m kerascnn.{kept}"


def git_commit() -> str | None:
    """Returns the commit of this package's checkout, with + if it was changed, or None."""
    folder = Path(__file__).resolve().parents[1]
    if not (folder.parent / ".git").exists():
        return None
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=12"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return commit.stdout.strip() or None
