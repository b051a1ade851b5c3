"""What processes have predicted, how fast, and what they needed. No TensorFlow."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass, field


def peak_memory() -> int:
    """Returns the peak of this process's resident memory in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10


@dataclass
class Tally:
    """What a process has done, or several together.

    Attributes:
        parts, images, bad: Numbers of parts, of their images, and of those that could not be used.
        seconds: Time in these parts, the sum of all processes.
        waited: Seconds of them in which the network waited for images.
        memory: Peak bytes of a process, the largest one.
    """

    parts: int = 0
    images: int = 0
    bad: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    memory: int = field(default_factory=peak_memory)

    def add(self, other: Tally) -> None:
        """Adds what was done after this, or by another process."""
        for name in ("parts", "images", "bad", "seconds", "waited"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.memory = max(self.memory, other.memory)

    def summary(self, seconds: float | None = None) -> str:
        """Returns what was done, how fast, and how long the network waited, as text.

        Args:
            seconds: The time that it took; None for the time in the parts, for one process.
        """
        if not self.parts:
            return "nothing was left to do"
        bad = f" ({self.bad:,} could not be used: see the column problem)" if self.bad else ""
        own = max(self.seconds, 1e-9)
        return (
            f"{self.images:,} images in {self.parts} parts{bad}, {self.images / (seconds or own):,.0f} images/s,"
            f" input wait {self.waited / own:.1%}, peak memory {self.memory / 1e9:.2f} GB"
        )
