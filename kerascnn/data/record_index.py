"""What is known of the images inside one file (a shard, a Parquet file): places, sizes, digests. Remembered like contents."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import time
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerascnn.data.contents import DIGEST, SETTLED_NS, FileContent, status_key
from kerascnn.runs.files import CONTENTS_FOLDER, write_file


@dataclass
class ImageFacts:
    """Facts about images by place, as in FileContent.

    Attributes:
        digests: uint8 [n, DIGEST].
        kept: Bytes in memory if it is kept encoded, int64 [n].
        problems: Why images cannot be used.
        offsets: Place of the image's bytes in its file, int64 [n]; -1 if they are not there as they are.
        sizes: Number of these bytes, int64 [n].
        told: Further facts that the file tells about its images, as text.
    """

    digests: np.ndarray
    kept: np.ndarray
    problems: dict[int, str]
    offsets: np.ndarray
    sizes: np.ndarray
    told: str = ""

    @classmethod
    def of(cls, count: int) -> ImageFacts:
        """Returns the facts of `count` images of which nothing is known."""
        places, sizes = np.full(count, -1, np.int64), np.zeros(count, np.int64)
        return cls(np.zeros((count, DIGEST), np.uint8), np.zeros(count, np.int64), {}, places, sizes)

    def put(self, place: int, content: FileContent, offset: int = -1) -> None:
        """Takes over what is known of an image."""
        if content.problem is not None:
            self.problems[place] = content.problem
            return
        self.problems.pop(place, None)
        self.digests[place] = np.frombuffer(content.digest, np.uint8)
        self.kept[place], self.sizes[place], self.offsets[place] = content.kept, content.size, offset

    def valid(self, ids: Sequence[str]) -> tuple[np.ndarray, list[tuple[str, str]]]:
        """Returns the places of the images without a problem, and (id, reason) of the others."""
        good = np.delete(np.arange(len(self.kept)), list(self.problems))
        return good, [(ids[place], reason) for place, reason in sorted(self.problems.items())]

    def taken(self, places: np.ndarray) -> ImageFacts:
        """Returns the facts of valid images."""
        return ImageFacts(self.digests[places], self.kept[places], {}, self.offsets[places], self.sizes[places])

    def hexadecimal(self) -> list[str]:
        """Returns the digests as text."""
        whole = self.digests.tobytes().hex()
        return [whole[at : at + 2 * DIGEST] for at in range(0, len(whole), 2 * DIGEST)]


class RecordIndex:
    """The facts about the images inside one file, remembered between starts while the file is unchanged.

    Args:
        folder: Folder of the runs; None remembers nothing.
        path: The file.
        of: What the images are in it: another column is another index.
    """

    def __init__(self, folder: Path | None, path: Path, of: str = "") -> None:
        name = hashlib.sha256(os.fsencode(os.path.realpath(path)) + b"\0" + of.encode()).hexdigest()[:12]
        self.file = None if folder is None else folder / CONTENTS_FOLDER / f"{name}-records.npz"
        self.status = path.stat()

    def load(self) -> ImageFacts | None:
        """Returns what is remembered, or None if it is not of this content."""
        if self.file is None:
            return None
        try:
            with self.file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
                if tuple(arrays["key"].tolist()) != status_key(self.status):
                    return None
                facts = ImageFacts(
                    arrays["digests"],
                    arrays["kept"],
                    dict(zip(arrays["bad"].tolist(), arrays["reasons"].tolist(), strict=True)),
                    arrays["offsets"],
                    arrays["sizes"],
                    arrays["told"].tobytes().decode(),
                )
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError):
            return None
        if any("pip install" in reason for reason in facts.problems.values()):
            return None  # what was missing may be installed now
        lengths = {len(facts.digests), len(facts.kept), len(facts.offsets), len(facts.sizes)}
        return facts if len(lengths) == 1 and facts.digests.shape[1:] == (DIGEST,) else None

    def keep(self, facts: ImageFacts) -> None:
        """Writes the facts, unless the file changed just before it was read."""
        changed = max(self.status.st_mtime_ns, self.status.st_ctime_ns)
        if self.file is None or changed + SETTLED_NS > time.time_ns():
            return
        buffer = io.BytesIO()
        np.savez(
            buffer,
            key=np.array(status_key(self.status), np.int64),
            digests=facts.digests,
            kept=facts.kept,
            bad=np.array(list(facts.problems), np.int64),
            reasons=np.array(list(facts.problems.values()), "U"),
            offsets=facts.offsets,
            sizes=facts.sizes,
            told=np.frombuffer(facts.told.encode(), np.uint8),
        )
        with contextlib.suppress(OSError):
            write_file(self.file, buffer.getvalue())
