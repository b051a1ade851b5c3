"""The memory that this process may still allocate. No TensorFlow."""

import os
from pathlib import Path


def free_memory() -> int:
    """Returns the bytes that this process may still allocate, by the system's and the container's limits."""
    free = [_available()]
    for group in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/memory")):
        for limit, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            try:
                # The page cache counts as used, but its inactive part is reclaimed on demand.
                stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
                spare = int(stat.get("total_inactive_file", stat.get("inactive_file", 0)))
                free.append(int((group / limit).read_text()) - int((group / used).read_text()) + spare)
            except (OSError, ValueError):  # no such file, or "max"
                continue
    return max(0, min(free))


def _available() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    # macOS does not report free memory: assume half of the total.
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
