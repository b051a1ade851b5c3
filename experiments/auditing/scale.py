"""Time and memory of an audit's two large parts: python -m experiments.auditing.scale FOLDER

The looks of 10,000 images (those below FOLDER, again and again), and the comparison of 100,000 hashes.
"""

import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerascnn.data.looks import SIDE, looks
from kerascnn.data.near import least_alike, near_pairs

IMAGES, HASHES = 10_000, 100_000


class Cycled:
    """A source of files that come again and again."""

    def __init__(self, paths: Sequence[Path], count: int) -> None:
        self.paths, self.ids = paths, [str(i) for i in range(count)]

    def __len__(self) -> int:
        return len(self.ids)

    def stored(self, index: int) -> bytes:
        """Returns the bytes of a file."""
        return self.paths[index % len(self.paths)].read_bytes()


def timed(what: str, task: Callable[[], Any]) -> None:
    """Prints wall and CPU seconds of a task, and the peak of the process' memory."""
    wall, cpu = time.perf_counter(), time.process_time()
    task()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| {what} | {cpu:.0f} s | {wall:.0f} s | {peak:,.0f} MB |", flush=True)


def main(folder: Path) -> None:
    """Prints a table."""
    print("| part | CPU | wall | peak memory |\n|---|---|---|---|", flush=True)
    paths = sorted(path for path in folder.rglob("*.*") if path.suffix.lower() in (".jpg", ".jpeg"))
    timed(f"looks of {IMAGES:,} images", lambda: looks(Cycled(paths, IMAGES)))  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    hashes, mirrored = rng.integers(0, 2**64, (2, HASHES), np.uint64)
    thumbnails = rng.integers(0, 256, (HASHES, SIDE, SIDE), np.uint8)
    least = least_alike(hashes, thumbnails)
    timed(f"comparison of {HASHES:,} hashes", lambda: near_pairs(hashes, mirrored, thumbnails, least=least))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
