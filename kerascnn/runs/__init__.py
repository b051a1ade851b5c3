"""Runs: directories and their files, identity, leases, and training in a subprocess. No TensorFlow."""

from kerascnn.runs.directory import Run
from kerascnn.runs.identity import WEIGHTS_PIN, default_name, digest, identity
from kerascnn.runs.lease import Busy, Lease, LeaseLost, hold, hold_when_free
from kerascnn.runs.preparing import prepare
from kerascnn.runs.starting import now, shown_command, with_door
from kerascnn.runs.validation import described

__all__ = [
    "WEIGHTS_PIN",
    "Busy",
    "Lease",
    "LeaseLost",
    "Run",
    "default_name",
    "described",
    "digest",
    "hold",
    "hold_when_free",
    "identity",
    "now",
    "prepare",
    "shown_command",
    "with_door",
]
