"""Writes weight files without the libraries whose format they have, byte for byte where it matters: for tests."""

import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

ORDERED_DICT = b"ccollections\nOrderedDict\n"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
STORAGES = {"float32": b"ctorch\nFloatStorage\n", "int64": b"ctorch\nLongStorage\n"}


def text(value: str) -> bytes:
    return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()


def integer(value: int) -> bytes:
    return b"\x8a\x08" + value.to_bytes(8, "little", signed=True)


def together(*parts: bytes) -> bytes:
    return b"(" + b"".join(parts) + b"t"


def tensor(key: str, array: np.ndarray, *, strides: tuple[int, ...] | None = None, offset: int = 0) -> bytes:
    """A tensor that is rebuilt from the storage `key`, as torch pickles it; `strides` in numbers."""
    strides = strides or tuple(step // array.itemsize for step in array.strides)
    storage = together(text("storage"), STORAGES[array.dtype.name], text(key), text("cpu"), integer(array.size))
    places = together(*map(integer, array.shape)), together(*map(integer, strides))
    return REBUILD + together(storage + b"Q", integer(offset), *places, b"\x89", ORDERED_DICT + b")R") + b"R"


def program(items: Mapping[str, bytes]) -> bytes:
    """A pickle of an OrderedDict whose values are the opcodes that make them."""
    return b"\x80\x02" + ORDERED_DICT + b")R(" + b"".join(text(k) + v for k, v in items.items()) + b"u."


def write_pth(path: Path, state: Mapping[str, np.ndarray], pickled: bytes | None = None) -> Path:
    """A state dict as `torch.save` writes it, or another program over the same storages."""
    arrays = {str(i): np.ascontiguousarray(array) for i, array in enumerate(state.values())}
    items = {name: tensor(key, array) for name, (key, array) in zip(state, arrays.items(), strict=True)}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled or program(items))
        archive.writestr("archive/byteorder", "little")
        for key, array in arrays.items():
            archive.writestr(f"archive/data/{key}", array.tobytes())
        archive.writestr("archive/version", "3\n")
    return path


def write_legacy_pth(path: Path, pickled: bytes, *arrays: np.ndarray) -> Path:
    """The form before torch 1.6: three pickles, the program, the storages' keys and data."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, system))
    keys = pickle.dumps([str(i) for i in range(len(arrays))], 2)
    data = b"".join(array.size.to_bytes(8, "little") + array.tobytes() for array in arrays)
    path.write_bytes(head + pickled + keys + data)
    return path


def write_safetensors(path: Path, state: Mapping[str, np.ndarray]) -> Path:
    header, place = {}, 0
    for name, array in state.items():
        kind = {"float32": "F32", "int64": "I64"}[array.dtype.name]
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": [place, place + array.nbytes]}
        place += array.nbytes
    head = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for array in state.values():
            file.write(np.ascontiguousarray(array).tobytes())
    return path
