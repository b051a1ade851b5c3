"""Watches a training for `kerascnn verify`: sums of all variables by step, and an end by SIGKILL at a chosen step."""

import json
import os
import signal
import zlib
from pathlib import Path

import keras
import numpy as np

from kerascnn.devices.plan import host_values


class Witness(keras.callbacks.Callback):
    """Appends the CRC-32 of each variable to a file after each execution, and kills the process after a step.

    Args:
        first_step: Number of finished steps when this fit began.
        file: JSON lines, {"step", "sums"}; a step that is done again after a kill is appended again.
        kill_at: The process is killed after the first execution that reaches this step; None for never.
    """

    def __init__(self, first_step: int, file: Path, kill_at: int | None) -> None:
        super().__init__()
        self.step = self._done = first_step
        self.file, self.kill_at = file, kill_at

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._done = self.step

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.step = self._done + batch + 1
        values = host_values(self.model.variables)
        sums = {
            variable.path: zlib.crc32(np.ascontiguousarray(value))
            for variable, value in zip(self.model.variables, values, strict=True)
        }
        with self.file.open("a", encoding="utf-8") as out:
            out.write(json.dumps({"step": self.step, "sums": sums}) + "\n")
        if self.kill_at is not None and self.step >= self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def sums(file: Path) -> dict[int, dict[str, int]]:
    """Returns the last sums of each step that a Witness wrote."""
    found: dict[int, dict[str, int]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found[row["step"]] = row["sums"]
    return found
