"""Reads state dicts of `torch.save` without torch, and without running anything that the file names.

A `.pth` file is a pickle, and a pickle is a program that can call whatever it can name. This unpickler knows four names
(rebuilding of tensors, rebuilding of parameters, OrderedDict, and the types of storage) and refuses all others. The objects
that it returns for them cannot be changed by the program, and tensors must be within their storage. Bytes, operations, keys
and nesting are limited, so that a malicious file ends with a message and not in hours or gigabytes.
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
from typing import Any, BinaryIO, ClassVar, NamedTuple

import numpy as np

from kerascnn.cli.escaping import one_line
from kerascnn.errors import UserError
from kerascnn.weights.tensors import Tensor, Tensors, float32, width

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
MAGIC = 0x1950A86A20F9469CFC6C  # of the format before torch 1.6
PICKLE_BYTES = 16 << 20  # that of ResNet-152 has 0.2 MB
INFLATED = 100  # largest ratio of unpacked to packed storage; torch.save does not compress
WRAPPED = 4  # largest number of dicts around a state dict
DIMENSIONS = 8  # largest number of dimensions; numpy allows 64
DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, OSError, OverflowError, RuntimeError, MemoryError)
WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")  # keys of the weights in files of training scripts


def read(path: Path) -> Tensors:
    """Returns the tensors of a state dict by name, from either format of `torch.save`.

    The state dict may be in a dict under `state_dict` or `model` (averaged ones, `*_ema`, first); a prefix `module.` of all
    names is removed. Raises UserError for a damaged file, a name outside the allow-list, or no state dict.
    """
    try:
        content = _zipped(path) if zipfile.is_zipfile(path) else _legacy(path)
    except _STRANGE as error:
        raise UserError(f"{path}: expected a state dict of torch.save, got {_reason(error)}") from error
    except DAMAGE as error:
        raise UserError(f"{path}: the file is damaged ({_reason(error)})") from error
    return dict(_named(_unwrapped(content, path), path))


# Errors of an unpickler for a program that is not from torch.save.
_STRANGE = (
    pickle.UnpicklingError,
    EOFError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    RecursionError,
    AssertionError,
)


def _reason(error: Exception) -> str:
    return one_line(str(error))[:200] or type(error).__name__


class _Kind(NamedTuple):
    """Represents a class of storage: its type of numbers."""

    name: str


class _Storage(NamedTuple):
    """Numbers of one type in the file, of which tensors are views."""

    kind: str
    numbers: int
    read: Callable[[], bytes]


class _View(NamedTuple):
    """A tensor of the file: its position in its storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _RebuildTensor(tuple):
    """Represents torch._utils._rebuild_tensor_v2. A tuple without attributes: BUILD in a pickle can set nothing on it."""

    __slots__ = ()

    def __call__(self, storage, offset, shape, strides, requires_grad=False, hooks=None, metadata=None) -> _View:
        if not isinstance(storage, _Storage) or max(len(shape), len(strides)) > DIMENSIONS:
            raise pickle.UnpicklingError("a tensor without a storage, or of more than 8 dimensions")
        view = _View(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))
        last = view.offset + sum((size - 1) * step for size, step in zip(view.shape, view.strides, strict=True))
        inside = min(view.offset, *view.shape, *view.strides, 0) == 0 and (last < storage.numbers or 0 in view.shape)
        if not inside:
            raise pickle.UnpicklingError(f"a tensor of shape {view.shape} that reaches beyond its storage")
        return view


class _RebuildParameter(tuple):
    """Represents torch._utils._rebuild_parameter: returns the tensor itself."""

    __slots__ = ()

    def __call__(self, data, requires_grad=False, hooks=None) -> Any:
        return data


class _MakeOrderedDict(tuple):
    """Represents collections.OrderedDict: empty, or of pairs with plain keys."""

    __slots__ = ()

    def __call__(self, pairs=()) -> OrderedDict:
        return OrderedDict((_plain_key(key), value) for key, value in pairs)


def _plain_key(key: Any) -> Any:
    """Returns `key` if it is a name or a number: the hash of a nested tuple could take forever."""
    if not isinstance(key, str | int | float):
        raise pickle.UnpicklingError(f"a dict with a {type(key).__name__} as a key")
    return key


ALLOWED: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _MakeOrderedDict(),
    ("torch._utils", "_rebuild_tensor_v2"): _RebuildTensor(),
    ("torch._utils", "_rebuild_parameter"): _RebuildParameter(),
    **{("torch", name): _Kind(kind) for name, kind in STORAGES.items()},
}


# Operations of torch.save (pickle protocol 2), and of other writers of state dicts up to protocol 5. The others include
# operations that allocate gigabytes at once, or that create objects which are not allowed.
_WRITTEN = (
    "PROTO STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE BINSTRING SHORT_BINSTRING"
)
_WRITTEN += (
    " EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS BINGET LONG_BINGET"
)
_WRITTEN += " BINPUT LONG_BINPUT GLOBAL REDUCE BUILD BINPERSID"
_LATER = "FRAME MEMOIZE SHORT_BINUNICODE BINBYTES SHORT_BINBYTES STACK_GLOBAL"
_OPERATIONS = f"{_WRITTEN} {_LATER}".split()


# The unpickler in Python, since the one in C allocates a memo of any size that the file names. It has no types.
_Python: Any = pickle._Unpickler


class _Unpickler(_Python):
    """Reads a pickle of `path`; `storage(kind, key, count)` returns the storage `key`."""

    dispatch: ClassVar = {getattr(pickle, name)[0]: _Python.dispatch[getattr(pickle, name)[0]] for name in _OPERATIONS}

    def __init__(self, file, path: Path, storage: Callable[[str, str, int], _Storage]) -> None:
        super().__init__(file, encoding="utf-8")
        self.path, self.storage = path, storage

    def load(self) -> Any:
        try:
            return super().load()
        except KeyError as error:
            if isinstance(error.args[0], int):
                raise pickle.UnpicklingError(
                    f"the operation {error.args[0]:#x}, which torch.save never writes"
                ) from None
            raise

    def _load_setitem(self) -> None:
        _plain_key(self.stack[-2])
        _Python.load_setitem(self)

    def _load_setitems(self) -> None:
        for key in self.stack[::2]:
            _plain_key(key)
        _Python.load_setitems(self)

    def _load_build(self) -> None:
        """Ignores attributes: a state dict's `_metadata`, or anything that would hide the dict's own methods."""
        self.stack.pop()
        if not isinstance(self.stack[-1], OrderedDict):
            raise pickle.UnpicklingError(f"attributes of a {type(self.stack[-1]).__name__}")

    dispatch[pickle.BUILD[0]] = _load_build
    dispatch[pickle.SETITEM[0]] = _load_setitem
    dispatch[pickle.SETITEMS[0]] = _load_setitems

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise UserError(
                f"{self.path}: refused, it asks for {module}.{name}, which no state dict needs and which could run any "
                "program; save only the weights, torch.save(model.state_dict(), PATH), or as .safetensors"
            )
        return ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        word, kind, key, _, count, *views = pid
        if word != "storage" or not isinstance(kind, _Kind) or any(view is not None for view in views):
            raise pickle.UnpicklingError(f"a reference of kind {word!r}; expected a storage of torch.save")
        return self.storage(kind.name, str(key), int(count))


def _zipped(path: Path) -> Any:
    """Reads the format since torch 1.6: a zip archive with a pickle and one file per storage."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        main = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(main) != 1:
            raise ValueError("a zip archive without a pickle (such as TorchScript and .keras files)")
        folder = main[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("big-endian numbers")

        def storage(kind: str, key: str, count: int) -> _Storage:
            member = archive.getinfo(f"{folder}data/{key}")
            if member.file_size > INFLATED * max(member.compress_size, 1):
                raise pickle.UnpicklingError(f"a storage {key} that would unpack to {member.file_size:,} bytes")
            if count < 0 or member.file_size < count * width(kind):
                raise pickle.UnpicklingError(f"a storage {key} of {member.file_size} bytes for {count} numbers")
            return _Storage(kind, count, lambda: _member(path, member.filename))

        if (size := archive.getinfo(main[0]).file_size) > PICKLE_BYTES:
            raise ValueError(f"a pickle of {size:,} bytes, more than {PICKLE_BYTES:,}")
        return _Unpickler(io.BytesIO(archive.read(main[0])), path, storage).load()


def _member(path: Path, name: str) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)
    except (ValueError, EOFError, KeyError, *DAMAGE) as error:
        raise UserError(f"{path}: the file is damaged ({_reason(error)})") from error


def _legacy(path: Path) -> Any:
    """Reads the format before torch 1.6: several pickles, then the raw data of the storages."""
    places: dict[str, tuple[int, int]] = {}
    storages: dict[str, tuple[str, int]] = {}

    def storage(kind: str, key: str, count: int) -> _Storage:
        storages[key] = kind, count
        return _Storage(kind, count, lambda: _piece(path, *places[key]))

    with path.open("rb") as file:
        pickles = _BoundedFile(file, PICKLE_BYTES)
        magic, _, system, content, keys = (_Unpickler(pickles, path, storage).load() for _ in range(5))
        if magic != MAGIC or not system["little_endian"]:
            raise ValueError("another kind of pickle")
        for key in keys:
            kind, expected = storages[_plain_key(key)]
            (count,) = struct.unpack("<q", file.read(8))
            if count != expected:
                raise pickle.UnpicklingError(f"a storage {key} of {count} numbers, not {expected}")
            places[key] = file.tell(), count * width(kind)
            file.seek(places[key][1], io.SEEK_CUR)
        if file.tell() > path.stat().st_size or storages.keys() != places.keys():
            raise EOFError("a file that lacks the numbers of a tensor")
    return content


class _BoundedFile:
    """Reads at most `left` bytes from `file`."""

    def __init__(self, file: BinaryIO, left: int) -> None:
        self.file, self.left = file, left

    def _spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise ValueError(f"pickles of more than {PICKLE_BYTES:,} bytes")

    def read(self, count: int) -> bytes:
        self._spend(count)
        return self.file.read(count)

    def readline(self) -> bytes:
        line = self.file.readline(self.left + 1)
        self._spend(len(line))
        return line


def _piece(path: Path, start: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(length)


def _unwrapped(content: Any, path: Path) -> Mapping:
    for _ in range(WRAPPED + 1):
        if not isinstance(content, Mapping):
            break
        wrapper = next((name for name in WRAPPERS if isinstance(content.get(name), Mapping)), None)
        if wrapper is None:
            return content
        content = content[wrapper]
    raise UserError(f"{path}: expected a state dict (names and tensors), got a {type(content).__name__}")


def _named(state: Mapping, path: Path) -> Iterator[tuple[str, Tensor]]:
    views = {str(name): value for name, value in state.items() if isinstance(value, _View)}
    if not views:
        keys = one_line(str(list(state)[:5]))[:200]
        raise UserError(f"{path}: expected a state dict (names and tensors), found no tensor under {keys}")
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
