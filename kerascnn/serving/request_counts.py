"""The numbers of GET /metrics, of all workers of a server."""

import os

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess

# prometheus-client keeps the numbers of a process in a file of this folder, if it is named before the package is imported.
SHARED = "PROMETHEUS_MULTIPROC_DIR"


class RequestCounts:
    """Requests by route and status, their time, and images by model and outcome."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("kerascnn_requests", "Requests.", ["path", "status"], registry=self.registry)
        self.seconds = Histogram("kerascnn_request_seconds", "Time of a request.", ["path"], registry=self.registry)
        self.images = Counter("kerascnn_images", "Images.", ["model", "outcome"], registry=self.registry)

    def count(self, model: str, answered: int, images: int) -> None:
        """Counts the images of one request, of which `answered` had an answer and the others were broken."""
        self.images.labels(model, "broken").inc(images - answered)
        self.images.labels(model, "answered").inc(answered)

    def shown(self) -> bytes:
        """Returns the sums over all workers, as Prometheus reads them."""
        if SHARED not in os.environ:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        return generate_latest(registry)
