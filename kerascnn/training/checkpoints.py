"""Checkpoints of all state, so that a run resumes at the exact step, bit for bit on a CPU.

`tf.train.Checkpoint(model=, optimizer=)` and `.weights.h5` omit seed generators (Dropout, DropPath); a flat list of all
variables does not. A checkpoint is a directory `step-N/` with `variables.npz` (zip's CRC-32 detects damage) and `state.json`.
It is written aside, synced and renamed, and the two newest are kept.
"""

import io
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

from kerascnn.devices.team import ALONE, Team
from kerascnn.devices.wire import packed, unpacked
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
        team: The workers that train together: the chief alone reads and writes the folder.
    """

    def __init__(self, directory: Path, team: Team = ALONE) -> None:
        self.directory, self.team = directory, team

    def save(self, step: int, state: dict[str, Any], variables: Sequence[Any]) -> None:
        """Saves `variables` and `state` after `step` steps; all workers call it."""
        arrays = _values(variables, self.team)
        if self.team.chief:
            self._write(step, state, arrays)

    def _write(self, step: int, state: dict[str, Any], arrays: list[list[np.ndarray]]) -> None:
        target = self.directory / f"step-{step}"
        aside = files.aside_of(target)
        shutil.rmtree(aside, ignore_errors=True)
        try:
            with naming(target):
                _write(aside, step, state, arrays)
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

    def latest(self, say: Callable[[str], None] = print) -> Checkpoint | None:
        """Returns the newest undamaged checkpoint, for all workers; a damaged one is reported and skipped."""
        found = self._newest(say) if self.team.chief else None
        if self.team.count == 1:
            return found
        return _from_bytes(self.team.from_chief(_to_bytes(found)))

    def _newest(self, say: Callable[[str], None]) -> Checkpoint | None:
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


def _values(variables: Sequence[Any], team: Team) -> list[list[np.ndarray]]:
    """Returns the values of each variable: one, or one per replica of all workers if each has its own (metrics)."""
    own = [[part.numpy() for part in _parts(variable)] for variable in variables]
    if team.count == 1:
        return own
    apart = [i for i, variable in enumerate(variables) if _is_apart(variable)]
    found = [_unzipped(content) for content in team.gather(_zipped([own[i] for i in apart]))]
    for place, i in enumerate(apart):
        own[i] = [part for worker in found for part in worker[place]]
    return own


def _zipped(arrays: list[list[np.ndarray]]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **_named(arrays))
    return buffer.getvalue()


def _unzipped(content: bytes) -> list[list[np.ndarray]]:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return _grouped(file)


def _named(arrays: list[list[np.ndarray]]) -> dict[str, np.ndarray]:
    return {f"{i}.{j}": part for i, parts in enumerate(arrays) for j, part in enumerate(parts)}


def _grouped(file: Any) -> list[list[np.ndarray]]:
    arrays: list[list[np.ndarray]] = []
    for key in file.files:
        variable = int(key.split(".")[0])
        if variable == len(arrays):
            arrays.append([])
        arrays[variable].append(file[key])
    return arrays


def _to_bytes(checkpoint: Checkpoint | None) -> bytes:
    if checkpoint is None:
        return b""
    state = json.dumps({"step": checkpoint.step, "state": checkpoint.state}).encode()
    return packed([state, _zipped(checkpoint.arrays)])


def _from_bytes(content: bytes) -> Checkpoint | None:
    if not content:
        return None
    text, arrays = unpacked(content)
    return Checkpoint(**json.loads(text), arrays=_unzipped(arrays))


def _write(folder: Path, step: int, state: dict[str, Any], arrays: list[list[np.ndarray]]) -> None:
    folder.mkdir(parents=True)
    np.savez(folder / "variables.npz", allow_pickle=False, **_named(arrays))
    sync(folder / "variables.npz")
    text = json.dumps({"step": step, **state})
    write_file(folder / "state.json", f"{zlib.crc32(text.encode()):08x}\n{text}\n".encode())


def _read(path: Path, step: int) -> Checkpoint:
    checksum, _, text = (path / "state.json").read_text(encoding="utf-8").partition("\n")
    text = text.removesuffix("\n")
    if f"{zlib.crc32(text.encode()):08x}" != checksum:
        raise ValueError("state.json fails its checksum")
    state = json.loads(text)
    # Opened here because numpy leaves a damaged file open.
    with (path / "variables.npz").open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        return Checkpoint(step, state, _grouped(file))


def restore(checkpoint: Checkpoint, variables: Sequence[Any], team: Team = ALONE) -> None:
    """Assigns the saved values to `variables`, of `team`'s workers each its own.

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
        first = team.index * len(parts)
        if len(saved) == len(parts) * team.count and len(saved) > 1:
            for part, value in zip(parts, saved[first:], strict=False):
                part.assign(value)
        elif len(saved) == 1 and not _is_apart(variable):
            variable.value.assign(saved[0])
        else:  # the number of replicas changed: a value that is summed when read goes to the first one
            total = np.sum(saved, axis=0, dtype=saved[0].dtype)
            for j, part in enumerate(parts):
                part.assign(total if j == 0 and team.chief else np.zeros_like(total))


def _parts(variable: Any) -> list[Any]:
    """Returns the tf.Variables of a Keras variable: one, or one per replica if each has its own value (metrics)."""
    return list(variable.value.values) if _is_apart(variable) else [variable.value]


def _is_apart(variable: Any) -> bool:
    """Returns whether each replica has a value of its own."""
    value = variable.value
    return getattr(value, "synchronization", None) == tf.VariableSynchronization.ON_READ and hasattr(value, "values")
