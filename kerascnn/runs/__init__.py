"""Runs: a directory and the names in it, its identity and its lock, its training in a process of its own. No TensorFlow."""

from kerascnn.runs.children import CANDIDATE, PARENT_PIPE, ChildLost, child_environment, launch, parents_ear, pin
from kerascnn.runs.directory import Run
from kerascnn.runs.facts import described
from kerascnn.runs.identity import WEIGHTS_PIN, default_name, digest, identity
from kerascnn.runs.locks import Busy, Held, hold
from kerascnn.runs.preparing import prepare
from kerascnn.runs.starting import now, shown_command, with_door

__all__ = [
    "CANDIDATE",
    "PARENT_PIPE",
    "WEIGHTS_PIN",
    "Busy",
    "ChildLost",
    "Held",
    "Run",
    "child_environment",
    "default_name",
    "described",
    "digest",
    "hold",
    "identity",
    "launch",
    "now",
    "parents_ear",
    "pin",
    "prepare",
    "shown_command",
    "with_door",
]
