"""Reads what `torch.save` wrote of a state dict, without torch, and without running anything that the file names.

A `.pth` file is a pickle, and a pickle is a program: it can call whatever it can name. This unpickler knows four names
(tensors' rebuilding, parameters' rebuilding, OrderedDict, and the kinds of storage) and refuses every other. What it hands
out for them cannot be changed by the program, and tensors are checked to lie inside their storage.
"""

import io
import math
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kerascnn.config import UserError
from kerascnn.models.tensors import Tensor, Tensors, float32, width

STORAGES = {
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}
MAGIC = 0x1950A86A20F9469CFC6C  # of the form before torch 1.6
DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, OSError, OverflowError, RuntimeError, MemoryError)
WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")  # what training scripts put the weights under


def read(path: Path) -> Tensors:
    """The tensors of a state dict by name, from either form of `torch.save`.

    Also from a dict that holds one as `state_dict` or `model` (averaged ones, `*_ema`, first); `module.` in front of all
    names goes. UserError for a damaged file, for any name outside the allow-list, and where there is no state dict.
    """
    try:
        content = _zipped(path) if zipfile.is_zipfile(path) else _legacy(path)
    except (pickle.UnpicklingError, EOFError, KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise UserError(f"{path}: expected a state dict as torch.save writes it, got {_reason(error)}") from error
    except DAMAGE as error:
        raise UserError(f"{path}: the file is damaged ({_reason(error)})") from error
    return dict(_named(_unwrapped(content, path), path))


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


class _Kind(NamedTuple):
    """Stands for a class of storage: its kind of numbers."""

    name: str


class _Storage(NamedTuple):
    """Numbers of one kind in the file, which tensors are views of."""

    kind: str
    numbers: int
    read: Callable[[], bytes]


class _View(NamedTuple):
    """A tensor of the file: where it lies in its storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _RebuildTensor(tuple):
    """Stands for torch._utils._rebuild_tensor_v2. A tuple without attributes: a pickle's BUILD can set nothing on it."""

    __slots__ = ()

    def __call__(self, storage, offset, shape, strides, requires_grad=False, hooks=None, metadata=None) -> _View:
        view = _View(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))
        last = view.offset + sum((size - 1) * step for size, step in zip(view.shape, view.strides, strict=True))
        inside = min(view.offset, *view.shape, *view.strides, 0) == 0 and (last < storage.numbers or 0 in view.shape)
        if not isinstance(storage, _Storage) or not inside:
            raise pickle.UnpicklingError(f"a tensor of shape {view.shape} that reaches beyond its storage")
        return view


class _RebuildParameter(tuple):
    """Stands for torch._utils._rebuild_parameter: the tensor itself."""

    __slots__ = ()

    def __call__(self, data, requires_grad=False, hooks=None) -> Any:
        return data


ALLOWED: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _RebuildTensor(),
    ("torch._utils", "_rebuild_parameter"): _RebuildParameter(),
    **{("torch", name): _Kind(kind) for name, kind in STORAGES.items()},
}


class _Unpickler(pickle.Unpickler):
    """Reads a pickle of `path`; `storage(kind, key, count)` finds the storage that it calls `key`."""

    def __init__(self, file, path: Path, storage: Callable[[str, str, int], _Storage]) -> None:
        super().__init__(file, encoding="utf-8")
        self.path, self.storage = path, storage

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise UserError(
                f"{self.path}: refused, it asks for {module}.{name}, which no state dict needs and which could run any "
                "program; save the weights alone, torch.save(model.state_dict(), PATH), or as .safetensors"
            )
        return ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        word, kind, key, _, count, *views = pid
        if word != "storage" or not isinstance(kind, _Kind) or any(view is not None for view in views):
            raise pickle.UnpicklingError(f"a reference of kind {word!r}; expected a storage of its own")
        return self.storage(kind.name, str(key), int(count))


def _zipped(path: Path) -> Any:
    """The form since torch 1.6: a zip archive of a pickle and one file per storage."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        main = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(main) != 1:
            raise ValueError("a zip archive without a pickle in it (TorchScript and .keras files are none)")
        folder = main[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("big-endian numbers")

        def storage(kind: str, key: str, count: int) -> _Storage:
            member = archive.getinfo(f"{folder}data/{key}")
            if member.file_size < count * width(kind):
                raise pickle.UnpicklingError(f"a storage {key} of {member.file_size} bytes for {count} numbers")
            return _Storage(kind, count, lambda: _member(path, member.filename))

        return _Unpickler(io.BytesIO(archive.read(main[0])), path, storage).load()


def _member(path: Path, name: str) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)
    except (ValueError, EOFError, KeyError, *DAMAGE) as error:
        raise UserError(f"{path}: the file is damaged ({_reason(error)})") from error


def _legacy(path: Path) -> Any:
    """The form before torch 1.6: pickles one behind the other, then the storages' raw data."""
    places: dict[str, tuple[int, int]] = {}
    storages: dict[str, tuple[str, int]] = {}

    def storage(kind: str, key: str, count: int) -> _Storage:
        storages[key] = kind, count
        return _Storage(kind, count, lambda: _piece(path, *places[key]))

    with path.open("rb") as file:
        magic, _, system, content, keys = (_Unpickler(file, path, storage).load() for _ in range(5))
        if magic != MAGIC or not system["little_endian"]:
            raise ValueError("another kind of pickle")
        for key in keys:
            kind, expected = storages[key]
            (count,) = struct.unpack("<q", file.read(8))
            if count != expected:
                raise pickle.UnpicklingError(f"a storage {key} of {count} numbers, not {expected}")
            places[key] = file.tell(), count * width(kind)
            file.seek(places[key][1], io.SEEK_CUR)
        if file.tell() > path.stat().st_size or storages.keys() != places.keys():
            raise EOFError("a file that lacks the numbers of a tensor")
    return content


def _piece(path: Path, start: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(length)


def _unwrapped(content: Any, path: Path) -> Mapping:
    while isinstance(content, Mapping):
        wrapper = next((name for name in WRAPPERS if isinstance(content.get(name), Mapping)), None)
        if wrapper is None:
            return content
        content = content[wrapper]
    raise UserError(f"{path}: expected a state dict (names and tensors), got a {type(content).__name__}")


def _named(state: Mapping, path: Path) -> Iterator[tuple[str, Tensor]]:
    views = {str(name): value for name, value in state.items() if isinstance(value, _View)}
    if not views:
        raise UserError(f"{path}: expected a state dict (names and tensors), found no tensor under {list(state)[:5]}")
    parallel = all(name.startswith("module.") for name in views)
    for name, view in views.items():
        yield name.removeprefix("module.") if parallel else name, _tensor(view)


def _tensor(view: _View) -> Tensor:
    def values() -> np.ndarray:
        flat = float32(view.storage.read(), view.storage.kind)
        if math.prod(view.shape) == 0:
            return np.zeros(view.shape, np.float32)
        steps = tuple(step * flat.itemsize for step in view.strides)
        return np.lib.stride_tricks.as_strided(flat[view.offset :], view.shape, steps, writeable=False)

    return Tensor(view.shape, values)
