"""Tensors in weight files: where they lie, read one at a time, as float32. No TensorFlow here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

# Kinds of numbers by safetensors' names; bfloat16, which numpy lacks, is read as the upper halves of float32.
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
    """A tensor of a file: its shape, and how to read it as a float32 array of that shape."""

    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]


Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Content:
    """A weight file: `tensors` by the layout's names ("torch", "keras" or "kerascnn"), and the arch it claims, if any."""

    path: Path
    layout: str
    tensors: Tensors
    arch: str | None = None


def width(kind: str) -> int:
    """Bytes of one number of a kind in `DTYPES`."""
    return np.dtype(DTYPES[kind]).itemsize


def float32(data: bytes, kind: str) -> np.ndarray:
    """The numbers in `data` (little-endian), flat."""
    flat = np.frombuffer(data, DTYPES[kind])
    if kind == "BF16":
        return (flat.astype("<u4") << 16).view("<f4").astype(np.float32)
    return flat.astype(np.float32)
