"""Files that are not local (s3://, gs://, https://, hf://): read through fsspec, tried again, kept on disk if asked.

Credentials are the library's business: environment variables, configuration files, the machine's role. An address with a
password or a signature is refused, so that none is ever written down. No TensorFlow.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import os
import posixpath
import random
import shutil
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import fsspec

from kerascnn.cli.escaping import expanded, one_line
from kerascnn.config.addresses import is_remote, without_secrets
from kerascnn.data import shard_names
from kerascnn.data.contents import digest
from kerascnn.data.room import Missing, Room
from kerascnn.data.sorted_names import counted
from kerascnn.errors import Stopped, UserError
from kerascnn.runs.files import CONTENTS_FOLDER

__all__ = ["RemoteFile", "cache_folder", "check", "file_system", "is_remote", "joined", "local", "read", "status"]

TRIES = 5
WAIT = 0.5  # seconds before the second try; twice as long before each further one
LARGEST = 1 << 30  # bytes that are kept beside the runs without --cache disk:DIR
PART = 8 << 20  # bytes of one request for a large file
# What needs another package, and what to install.
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "hf": "datasets"}
# Keys of a file's information that tell its content, in the words of S3, Google, Hugging Face, Azure and HTTP.
_IDENTITIES = (
    "ETag",
    "etag",
    "versionId",
    "VersionId",
    "md5Hash",
    "crc32c",
    "content_md5",
    "Content-MD5",
    "blob_id",
    "sha256",
)
_WEAK = "W/"  # an ETag of equal meaning, not of equal bytes


class RemoteFile(NamedTuple):
    """What a store says of a file.

    Attributes:
        size: Bytes, or None if it does not say.
        identity: What changes with the content (ETag, version, checksum), or "" if the store has nothing of this kind.
    """

    size: int | None
    identity: str


def joined(address: str, name: str) -> str:
    """Returns the address of a file by its path below another address; an address stays as it is."""
    if is_remote(name):
        return name
    head, mark, rest = address.partition("://")
    if head.startswith("http"):  # elsewhere names are as they are
        name = urllib.parse.quote(name, safe="/")
    return f"{head}{mark}{posixpath.normpath(posixpath.join(rest, name))}"


def file_system(address: str) -> tuple[Any, str]:
    """Returns fsspec's file system of an address, and the path in it.

    Raises:
        UserError: No such protocol is known, or its package is not installed.
    """
    protocol = address.partition("://")[0]
    try:
        found: tuple[Any, str] = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        extra = f': pip install -e ".[{_EXTRAS[protocol]}]"' if protocol in _EXTRAS else ""
        raise UserError(f"{protocol}:// cannot be read: {without_secrets(one_line(str(error)))}{extra}") from None
    return found


def status(address: str) -> RemoteFile:
    """Returns what the store says of a file.

    Raises:
        OSError: It cannot be reached, or there is no such file (FileNotFoundError).
    """
    system, path = file_system(address)
    return described(_tried(address, lambda: system.info(path)))


def described(info: dict[str, Any]) -> RemoteFile:
    """Returns the facts in fsspec's information about a file."""
    found = [f"{key}={info[key]}" for key in _IDENTITIES if info.get(key) and not str(info[key]).startswith(_WEAK)]
    size = info.get("size")
    return RemoteFile(None if size is None else int(size), found[0] if found else "")


def read(address: str, start: int | None = None, end: int | None = None) -> bytes:
    """Returns the bytes of a file, or those from `start` to `end`; a read that is interrupted is tried again.

    Raises:
        OSError: It failed `TRIES` times, or there is no such file (FileNotFoundError).
    """
    system, path = file_system(address)
    return bytes(_tried(address, lambda: system.cat_file(path, start=start, end=end)))


def listed(address: str) -> dict[str, dict[str, Any]]:
    """Returns fsspec's information about all files below an address, by their paths below it.

    Raises:
        OSError: The store cannot be reached, or there is no such folder.
    """
    system, path = file_system(address)
    root = path.rstrip("/") + "/"
    found = _tried(address, lambda: system.find(path, detail=True))
    below = {name.removeprefix(root): info for name, info in found.items() if name.startswith(root)}
    if not address.startswith("http"):
        return below
    return {urllib.parse.unquote(name): info for name, info in below.items()}  # `joined` quotes them


def _tried(address: str, attempt: Callable[[], Any]) -> Any:
    for number in range(TRIES):
        try:
            return attempt()
        except (PermissionError, IsADirectoryError, NotADirectoryError):
            raise
        except Exception as error:  # each store's library has its own: connections that end, servers that are busy
            # fsspec calls any failure of a web server a missing file; the cause tells.
            cause = error.__cause__ if isinstance(error, FileNotFoundError) else error
            if cause is None or isinstance(cause, FileNotFoundError):
                raise
            answer = getattr(cause, "status", None)
            if answer in (401, 403):
                raise PermissionError(f"{without_secrets(address)}: {answer}") from None
            if answer in (404, 410):
                raise FileNotFoundError(address) from None
            error = cause if isinstance(cause, Exception) else error
            if number == TRIES - 1:
                said = without_secrets(one_line(f"{type(error).__name__}: {error}".rstrip(": ")))
                raise OSError(f"{without_secrets(address)} failed {TRIES} times: {said}") from None
            time.sleep(WAIT * 2**number * random.uniform(0.5, 1.0))
    raise AssertionError("unreachable")


@contextlib.contextmanager
def outage() -> Iterator[None]:
    """Turns a store that cannot be reached into `Stopped`, and a missing file into `Missing`."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise Missing(f"there is no {without_secrets(one_line(str(error)))}") from None
    except PermissionError as error:
        raise UserError(
            f"no access: {without_secrets(one_line(str(error)))}: give the credentials as the store's own tools take them"
        ) from None
    except OSError as error:
        raise Stopped(
            f"{without_secrets(one_line(str(error)))}\nonce it can be reached, the same command continues"
        ) from None


def check(address: str) -> None:
    """Checks that an address exists.

    Raises:
        UserError: It does not, or its protocol cannot be read.
        Stopped: The store cannot be reached.
    """
    system, path = file_system(address)
    with outage():
        _tried(address, lambda: system.info(path))


def cache_folder(cache: str) -> Path | None:
    """Returns the folder of `--cache disk:DIR`, or None."""
    return expanded(cache.removeprefix("disk:")) if cache.startswith("disk:") else None


def local(address: str, cache: str, room: Room, largest: int) -> Path:
    """Returns a local copy of a file, as it is in the store now.

    It is kept in the folder of `--cache disk:DIR`, else beside the runs if it is not too large. A copy is used again if the
    store says by ETag, version or checksum that the file is the same; else the file is read again.

    Args:
        address: The file.
        cache: `data.cache`.
        room: For the folder of the runs, and progress.
        largest: Bytes of a file that is kept without `disk:DIR`.

    Raises:
        UserError: There is no such file, or it is too large.
        Stopped: The store cannot be reached.
    """
    with outage():
        known = status(address)
        folder = cache_folder(cache)
        if folder is None and (known.size or 0) > largest:
            raise UserError(
                f"{without_secrets(address)} has {(known.size or 0) / 1e9:.1f} GB: give --cache disk:DIR, a folder that keeps it"
            )
        if folder is None:
            folder = _temporary() if room.contents is None else room.contents / CONTENTS_FOLDER / "remote"
        name = posixpath.basename(urllib.parse.urlsplit(address).path) or "file"
        mark = hashlib.sha256(f"{address}\0{known.identity}".encode()).hexdigest()[:16]
        # The names of a shard and of its folder may tell a split.
        copy = (
            folder / mark / (posixpath.basename(posixpath.dirname(urllib.parse.urlsplit(address).path)) or "of") / name
        )
        if known.identity and copy.exists() and known.size in (None, copy.stat().st_size):
            return copy
        copy.parent.mkdir(parents=True, exist_ok=True)
        _fetch(address, known, copy, room)
    return copy


def copies(addresses: Sequence[str], cache: str, room: Room) -> list[Path]:
    """Returns local copies of shards or arrays, see `local`.

    Raises:
        UserError: There is no such file, or they are too large without `disk:DIR`.
        Stopped: The store cannot be reached.
    """
    return [local(address, cache, room, LARGEST // len(addresses)) for address in addresses]


def matched(form: str, pattern: str) -> list[str]:
    """Returns the addresses of a pattern of shards, 2 before 10, each once: braces as in `shard_names`, and `*`.

    Raises:
        UserError: It has no files.
        Stopped: The store cannot be reached.
    """
    found: list[str] = []
    for name in shard_names.spread(pattern):
        if "*" in name:
            system, path = file_system(name)
            with outage():
                found += [system.unstrip_protocol(each) for each in _tried(name, functools.partial(system.glob, path))]
        else:
            check(name)
            found.append(name)
    if not found:
        raise Missing(f"no file matches {form}:{without_secrets(pattern)}")
    return sorted(dict.fromkeys(found), key=counted)


@functools.cache
def _temporary() -> Path:
    """Returns a folder that is gone when the process ends."""
    folder = tempfile.mkdtemp(prefix="kerascnn-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _fetch(address: str, known: RemoteFile, copy: Path, room: Room) -> None:
    aside = copy.with_name(f".{copy.name}.{os.getpid()}.part")
    try:
        with aside.open("wb") as file, room.counting(f"fetching {copy.name}", known.size or 0) as advance:
            for start in range(0, known.size or 1, PART):
                end = min(start + PART, known.size or 0)
                # A small file as a whole: some servers answer any request for a part with the whole.
                part = read(address, start, end) if (known.size or 0) > PART else read(address)
                if known.size and len(part) > end - start:
                    file.truncate(0)
                    file.seek(0)
                    _whole(address, file)
                    break
                file.write(part)
                advance(len(part))
        if known.size is not None and aside.stat().st_size != known.size:
            raise OSError(f"{address} ended early: {aside.stat().st_size} of {known.size} bytes")
        # An equal file is left as it is, so that what is known of it stays valid.
        if not copy.exists() or digest(str(copy)) != digest(str(aside)):
            aside.replace(copy)
    finally:
        aside.unlink(missing_ok=True)


def _whole(address: str, file: BinaryIO) -> None:
    """Writes the whole of a file, from a server that gives no parts."""
    system, path = file_system(address)

    def attempt() -> None:
        file.seek(0)
        file.truncate()
        system.get_file(path, file)

    _tried(address, attempt)
