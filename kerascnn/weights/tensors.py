"""Tensors of weight files, read one at a time as float32. No TensorFlow here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

# Types of numbers by safetensors' names; bfloat16, which numpy lacks, is read as the upper halves of float32.
DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}


class Tensor(NamedTuple):
    """A tensor of a file: its shape, and a function that reads it as a float32 array."""

    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]


Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class WeightFile:
    """A weight file: `tensors` by the names of the layout ("torch", "keras" or "kerascnn"), and the arch that it states, if
    any.
    """

    path: Path
    layout: str
    tensors: Tensors
    arch: str | None = None


def width(kind: str) -> int:
    """Returns the bytes of a number of a type in `DTYPES`."""
    return np.dtype(DTYPES[kind]).itemsize


def float32(data: bytes, kind: str) -> np.ndarray:
    """Returns the numbers in `data` (little-endian), flat."""
    flat = np.frombuffer(data, DTYPES[kind])
    if kind == "BF16":
        return (flat.astype("<u4") << 16).view("<f4").astype(np.float32)
    return flat.astype(np.float32)
