"""What is kept of a start: when, where, by which command, from which commit. No TensorFlow."""

import datetime
import shlex
import subprocess
import sys
from pathlib import Path

CHILD_FLAG = "--child="  # of a process that another one of this program has started: no user types it


def directory() -> dict[str, str]:
    """Where a start was made, for relative paths; nothing where that is gone or no text."""
    try:
        here = str(Path.cwd())
        here.encode()
    except (OSError, UnicodeEncodeError):
        return {}
    return {"directory": here}


def now() -> str:
    """This moment in UTC, ISO 8601."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def shown_command() -> str:
    """The command line as a user would type it, by whichever door."""
    door = Path(sys.argv[0]).stem if sys.argv and sys.argv[0] else "kerascnn"
    return with_door(shlex.join([door, *(word for word in sys.argv[1:] if not word.startswith(CHILD_FLAG))]))


def with_door(kept: str) -> str:
    """A kept command in a form that runs: one that names no door came through `python -m kerascnn.<command>`."""
    return kept if kept.split(" ")[0] in ("kerascnn", "python") else f"python -m kerascnn.{kept}"


def git_commit() -> str | None:
    """The commit of the checkout that this package runs from, with + where it was changed; None outside of one."""
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
