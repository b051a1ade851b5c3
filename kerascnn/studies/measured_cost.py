"""The cost of a network on this machine. No TensorFlow."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kerascnn.errors import UserError


@dataclass(frozen=True)
class Cost:
    """The cost of a network, measured once, warm, on this machine.

    Args:
        params: Number of all weights.
        macs: Multiply-adds of the inference of one image.
        images_per_second: Images per second of training.
        latency_p50: Median milliseconds of the inference of one image (float32, batch 1).
        latency_p95: 95th percentile of the same.
        throughput: Best images per second of inference.
        export: Bytes of the SavedModel.
        memory: Peak bytes of the training process, or None.
        latencies: Median latency of each process; all processes measure every network.
        start_up: Seconds from the start of a process to its second training step, or None.
        trace: Additional seconds of the first batch of inference, or None.
    """

    params: int
    macs: int
    images_per_second: float
    latency_p50: float
    latency_p95: float
    throughput: float
    export: int
    memory: int | None = None
    latencies: tuple[float, ...] = ()
    start_up: float | None = None
    trace: float | None = None

    @classmethod
    def read(cls, cell: Mapping[str, Any]) -> "Cost":
        """Returns the cost of a cell in comparison.toml, as written by `kept`.

        Raises:
            UserError: It is damaged.
        """
        try:
            numbers = dict(cell["cost"])
            latencies = tuple(value + 0 for value in numbers.pop("latencies", ()))
            return cls(**{name: value + 0 for name, value in numbers.items()}, latencies=latencies)
        except (TypeError, AttributeError, ValueError, KeyError) as error:
            raise UserError(f"comparison.toml is damaged: cost: {error}: remove the file to measure it again") from None

    def kept(self) -> dict[str, Any]:
        """Returns the cost for comparison.toml, with four digits, which is the precision of timings."""

        def digits(value: Any) -> Any:
            if isinstance(value, tuple):
                return [digits(one) for one in value]
            return float(f"{value:.4g}") if isinstance(value, float) else value

        return {key: digits(value) for key, value in asdict(self).items() if value is not None}
