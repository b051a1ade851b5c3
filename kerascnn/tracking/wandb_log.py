"""Reads the transaction logs that W&B writes: what a run has logged, also where it was killed.

A log is one of LevelDB (https://github.com/google/leveldb/blob/main/doc/log_format.md) with a header of seven bytes: blocks
of 32 KiB, in which each chunk has a checksum, a length and a type.
"""

import json
import struct
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

BLOCK, MAGIC = 32 * 1024, b":W&B"
HEADER, CHUNK = 7, struct.Struct("<IHB")  # checksum, length, type
FULL, FIRST, LAST = 1, 2, 4


def records(path: Path) -> Iterator[bytes]:
    """Yields the serialized records of a log up to the end, or up to one that a kill left incomplete."""
    content = path.read_bytes()
    if not content.startswith(MAGIC):
        return
    at, parts = HEADER, b""
    while True:
        if BLOCK - at % BLOCK < CHUNK.size:  # no chunk begins in the last bytes of a block
            at += BLOCK - at % BLOCK
        if at + CHUNK.size > len(content):
            return
        _, length, kind = CHUNK.unpack_from(content, at)
        at += CHUNK.size
        if at + length > len(content) or not kind:
            return
        parts = (b"" if kind in (FULL, FIRST) else parts) + content[at : at + length]
        at += length
        if kind in (FULL, LAST):
            yield parts


def _parsed(path: Path) -> Iterator[Any]:
    from wandb.proto import wandb_internal_pb2

    for content in records(path):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(content)
        yield record


def wait_for_end(path: Path, seconds: float) -> None:
    """Waits until a log has its last record, but no longer than `seconds`: W&B's service writes some time after its program.

    The log of a training that was killed may never have it.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until and all(record.WhichOneof("record_type") != "exit" for record in _parsed(path)):
        time.sleep(0.2)


def history(path: Path) -> Iterator[dict[str, Any]]:
    """Yields the rows that a run has logged, in their order."""
    for record in _parsed(path):
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            yield {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def last_steps(paths: Iterable[Path]) -> tuple[dict[str, int], int]:
    """Returns where the logs of one run end.

    Returns:
        The last step or epoch of each key, 0 for keys without either, and the number of W&B's own `_step` that follows.
    """
    found: dict[str, int] = {}
    following = 0
    for path in paths:
        for row in history(path):
            at = int(row.get("epoch", row.get("step", 0)))
            found |= {key: max(at, found.get(key, 0)) for key in row}
            following = max(following, int(row["_step"]) + 1)
    return found, following
