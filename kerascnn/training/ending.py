"""Estimates the time of a run after its last epoch, from measurements of this start."""

from dataclasses import dataclass, field

# Pictures at the end of a run: predictions, worst mistakes, confusion matrix, curves.
PICTURES = 4
# Passes of a proof: images and files, each through the network and through the artefact.
PROOF_IMAGES = 2 * (256 + 48)


@dataclass
class Ending:
    """Scoring, pictures and export in seconds, each estimated from a similar operation that was timed.

    Attributes:
        batch_size: Images per scored batch.
        images: Number of images that are scored at the end.
        build: Seconds of building the network; loading takes as long.
        trace: Seconds of tracing the network's inference.
        picture: Seconds of the first picture; 0 if none is drawn.
        export_start: Seconds until a new process has TensorFlow; None without an export.
    """

    batch_size: int
    images: int
    build: float = 0.0
    trace: float = 0.0
    picture: float = 0.0
    export_start: float | None = None
    traces: int = field(default=3, init=False)  # traces of an export: the network, pixels of any size, files

    def seconds(self, batch_seconds: float) -> float:
        """Returns the sum, if a scored batch takes `batch_seconds`."""
        scoring = self.build + self.trace + batch_seconds * self.images / self.batch_size
        return scoring + PICTURES * self.picture + self._export(batch_seconds)

    def _export(self, batch_seconds: float) -> float:
        if self.export_start is None:
            return 0.0
        proof = self.export_start + batch_seconds * PROOF_IMAGES / self.batch_size
        return self.build + self.traces * self.trace + proof
