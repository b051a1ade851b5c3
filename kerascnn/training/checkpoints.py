"""Checkpoints of all state, so that a run resumes at the exact step, bit for bit on a CPU.

`tf.train.Checkpoint(model=, optimizer=)` and `.weights.h5` omit seed generators (Dropout, DropPath); a flat list of all
variables does not. A checkpoint is a directory `step-N/` with `variables.npz` (zip's CRC-32 detects damage) and `state.json`.
It is written aside, synced and renamed, and the two newest are kept.
"""

import json
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerascnn.errors import UserError
from kerascnn.runs import files
from kerascnn.runs.files import naming, sync, write_file

KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """A saved state: `step` steps are done; `arrays` has one list per variable (one copy per replica if they differ)."""

    step: int
    state: dict[str, Any]
    arrays: list[list[np.ndarray]]

    @property
    def loss_scale(self) -> list[float]:
        """Values of `loss_scale_of`; checkpoints of earlier versions have none."""
        return self.state.get("loss_scale", [])

    def first(self, count: int) -> "Checkpoint":
        """Returns the part with the first `count` variables."""
        return replace(self, arrays=self.arrays[:count])


def variables_of(model: keras.Model) -> list[Any]:
    """Returns weights, seed generators, optimizer and metric variables of a compiled, built model, in a fixed order.

    They are the same under every dtype policy, so that a run may continue under another one; see `loss_scale_of`.
    """
    return [*model.variables, *_inner(model.optimizer).variables, *model.metrics_variables]


def loss_scale_of(model: keras.Model) -> list[Any]:
    """Returns the scalars with which Keras scales the loss in mixed_float16; none without it."""
    inner = {id(variable) for variable in _inner(model.optimizer).variables}
    return [variable for variable in model.optimizer.variables if id(variable) not in inner]


def _inner(optimizer: Any) -> Any:
    return getattr(optimizer, "inner_optimizer", optimizer)


class Store:
    """The checkpoints of one run.

    Args:
        directory: Their folder.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def save(self, step: int, state: dict[str, Any], variables: Sequence[Any]) -> Path:
        """Saves `variables` and `state` after `step` steps."""
        target = self.directory / f"step-{step}"
        aside = files.aside_of(target)
        shutil.rmtree(aside, ignore_errors=True)
        try:
            with naming(target):
                _write(aside, step, state, variables)
            files.check(target)
            shutil.rmtree(target, ignore_errors=True)
            files.replace(aside, target)
        except BaseException:  # half a checkpoint would take the last space of a full disk
            shutil.rmtree(aside, ignore_errors=True)
            raise
        sync(self.directory)
        files.check(target)
        for old in self._steps()[:-KEPT]:
            shutil.rmtree(self.directory / f"step-{old}", ignore_errors=True)
        return target

    def latest(self, say: Callable[[str], None] = print) -> Checkpoint | None:
        """Returns the newest undamaged checkpoint; a damaged one is reported and skipped."""
        for step in reversed(self._steps()):
            path = self.directory / f"step-{step}"
            try:
                return _read(path, step)
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
                say(f"checkpoint {path.name} is damaged ({error}): going back to the one before")
        return None

    def _steps(self) -> list[int]:
        if not self.directory.is_dir():
            return []
        names = (re.fullmatch(r"step-(\d+)", entry.name) for entry in self.directory.iterdir())
        return sorted(int(name[1]) for name in names if name)


def _write(folder: Path, step: int, state: dict[str, Any], variables: Sequence[Any]) -> None:
    folder.mkdir(parents=True)
    arrays = {f"{i}.{j}": part.numpy() for i, v in enumerate(variables) for j, part in enumerate(_parts(v))}
    np.savez(folder / "variables.npz", **arrays)
    sync(folder / "variables.npz")
    text = json.dumps({"step": step, **state})
    write_file(folder / "state.json", f"{zlib.crc32(text.encode()):08x}\n{text}\n".encode())


def _read(path: Path, step: int) -> Checkpoint:
    checksum, _, text = (path / "state.json").read_text(encoding="utf-8").partition("\n")
    text = text.removesuffix("\n")
    if f"{zlib.crc32(text.encode()):08x}" != checksum:
        raise ValueError("state.json fails its checksum")
    state = json.loads(text)
    arrays: list[list[np.ndarray]] = []
    # Opened here because numpy leaves a damaged file open.
    with (path / "variables.npz").open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        for key in file.files:
            variable = int(key.split(".")[0])
            if variable == len(arrays):
                arrays.append([])
            arrays[variable].append(file[key])
    return Checkpoint(step, state, arrays)


def restore(checkpoint: Checkpoint, variables: Sequence[Any]) -> None:
    """Assigns the saved values to `variables`.

    Raises:
        UserError: The model has other variables: the checkpoint comes from another version of the code.
    """
    expected = [tuple(v.shape) for v in variables]
    got = [parts[0].shape for parts in checkpoint.arrays]
    if expected != got:
        raise UserError(
            f"the checkpoint has {len(got)} variables that do not fit this model's {len(expected)}: it was written by"
            " another version; --overwrite starts anew"
        )
    for variable, saved in zip(variables, checkpoint.arrays, strict=True):
        parts = _parts(variable)
        if len(parts) == len(saved) and len(parts) > 1:
            for part, value in zip(parts, saved, strict=True):
                part.assign(value)
        elif len(saved) == 1 and len(parts) == 1:
            variable.value.assign(saved[0])
        else:  # the number of replicas changed: a value that is summed when read goes to the first one
            total = np.sum(saved, axis=0, dtype=saved[0].dtype)
            for j, part in enumerate(parts):
                part.assign(total if j == 0 else np.zeros_like(total))


def _parts(variable: Any) -> list[Any]:
    """Returns the tf.Variables of a Keras variable: one, or one per replica if each has its own value (metrics)."""
    value = variable.value
    if getattr(value, "synchronization", None) == tf.VariableSynchronization.ON_READ and hasattr(value, "values"):
        return list(value.values)
    return [value]
