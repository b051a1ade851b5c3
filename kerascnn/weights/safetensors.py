"""Reads `.safetensors`: eight bytes of length, a JSON header, raw data. No TensorFlow, no torch."""

import json
import math
from pathlib import Path

import numpy as np

from kerascnn.cli.escaping import one_line
from kerascnn.errors import UserError
from kerascnn.weights.tensors import DTYPES, Tensor, Tensors, float32, width

HEADER_BYTES = 8 << 20  # that of ResNet-152 has 0.1 MB


def read(path: Path) -> Tensors:
    """Returns the tensors of `path` by name. Raises UserError if the file is damaged or has an unknown type of numbers."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise UserError(f"{path}: expected a safetensors file, its header is longer than the file")
        if length > HEADER_BYTES:
            raise UserError(f"{path}: a header of {length:,} bytes; the limit is {HEADER_BYTES:,}")
        try:
            header = json.loads(file.read(length))
            entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
            return {name: _tensor(path, name, entry, 8 + length, size) for name, entry in entries.items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = one_line(str(error))[:200]
            raise UserError(f"{path}: expected a safetensors file, its header cannot be read ({reason})") from error


def _tensor(path: Path, name: str, entry: dict, start: int, size: int) -> Tensor:
    kind, shape = entry["dtype"], tuple(entry["shape"])
    begin, end = (start + offset for offset in entry["data_offsets"])
    if kind not in DTYPES:
        raise UserError(f"{path}: tensor {name} has numbers of type {kind}; expected one of {', '.join(DTYPES)}")
    whole = all(isinstance(side, int) and side >= 0 for side in shape)
    if not (whole and start <= begin <= end <= size and end - begin == math.prod(shape) * width(kind)):
        raise UserError(
            f"{path}: tensor {name} of shape {shape} does not fit its position in the file; is it complete?"
        )

    def values() -> np.ndarray:
        with path.open("rb") as file:
            file.seek(begin)
            return float32(file.read(end - begin), kind).reshape(shape)

    return Tensor(shape, values)
