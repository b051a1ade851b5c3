"""The numbers of GET /metrics."""

from prometheus_client import CollectorRegistry, Counter, Histogram


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
