"""Runs: directories and their files, identity, locks, and training in a subprocess. No TensorFlow."""

from kerascnn.runs.directory import Run
from kerascnn.runs.identity import WEIGHTS_PIN, default_name, digest, identity
from kerascnn.runs.locks import Busy, Held, hold
from kerascnn.runs.preparing import prepare
from kerascnn.runs.starting import now, shown_command, with_door
from kerascnn.runs.validation import described

__all__ = [
    "WEIGHTS_PIN",
    "Busy",
    "Held",
    "Run",
    "default_name",
    "described",
    "digest",
    "hold",
    "identity",
    "now",
    "prepare",
    "shown_command",
    "with_door",
]
