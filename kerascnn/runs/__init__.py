"""Runs: a directory and the names in it, its identity and its lock. No TensorFlow."""

from kerascnn.runs.directory import Run
from kerascnn.runs.facts import described
from kerascnn.runs.identity import WEIGHTS_PIN, default_name, digest, identity
from kerascnn.runs.locks import Busy, Held, hold
from kerascnn.runs.preparing import prepare
from kerascnn.runs.starting import now, shown_command, with_door

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
