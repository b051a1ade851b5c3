"""The file in a run's directory that says which tracker runs belong to it. No TensorFlow."""

import json
import threading
from pathlib import Path

from kerascnn.errors import UserError
from kerascnn.runs.files import read_json, write_file

FILE = "trackers.json"
_TURN = threading.Lock()


def read(folder: Path, tracker: str) -> dict[str, str]:
    """Returns what a tracker has kept; empty if nothing, or if the file is damaged."""
    try:
        found = read_json(folder / FILE).get(tracker, {})
    except (OSError, UserError):
        return {}
    return {key: value for key, value in dict(found).items() if isinstance(value, str)}


def write(folder: Path, tracker: str, facts: dict[str, str]) -> None:
    """Keeps the facts of one tracker beside those of others."""
    with _TURN:
        try:
            every = dict(read_json(folder / FILE))
        except (OSError, UserError):
            every = {}
        write_file(folder / FILE, (json.dumps({**every, tracker: facts}, indent=2) + "\n").encode())
