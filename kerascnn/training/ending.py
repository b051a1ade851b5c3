"""How long a run takes after its last epoch, from what this start has measured."""

from dataclasses import dataclass, field

# Pictures at a run's end beside the one at its start: answers, worst mistakes, confusion matrix, curves.
PICTURES = 4
# Of a proof: images through the network and through the artefact, and files through both.
PROOF_IMAGES = 2 * (256 + 48)


@dataclass
class Ending:
    """Scoring, pictures and export, in seconds; each is an estimate from something alike that has been timed.

    Attributes:
        batch_size: Images of a scored batch.
        images: Images that are scored at the end.
        build: Seconds that building the network took: loading it takes as long.
        trace: Seconds that tracing the network's inference took.
        picture: Seconds that the first picture took; 0 where none is drawn.
        export_start: Seconds until a fresh process has TensorFlow; None where nothing is exported.
    """

    batch_size: int
    images: int
    build: float = 0.0
    trace: float = 0.0
    picture: float = 0.0
    export_start: float | None = None
    traces: int = field(default=3, init=False)  # of an export: the network, pixels of any size, files

    def seconds(self, batch_seconds: float) -> float:
        """All of it, where a batch is scored in `batch_seconds`."""
        scoring = self.build + self.trace + batch_seconds * self.images / self.batch_size
        return scoring + PICTURES * self.picture + self._export(batch_seconds)

    def _export(self, batch_seconds: float) -> float:
        if self.export_start is None:
            return 0.0
        proof = self.export_start + batch_seconds * PROOF_IMAGES / self.batch_size
        return self.build + self.traces * self.trace + proof
