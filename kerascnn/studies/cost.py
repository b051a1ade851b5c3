"""What a network costs on this machine. No TensorFlow."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kerascnn.errors import UserError


@dataclass(frozen=True)
class Cost:
    """What one network costs: measured once, warm, on this machine.

    Args:
        params: All weights.
        macs: Multiply-adds of one image's inference.
        images_per_second: Of training.
        latency_p50: Milliseconds of one image's inference (float32, batch 1), the median.
        latency_p95: The same, what 95 of 100 calls stay below.
        throughput: Best images per second of inference.
        export: Bytes of the SavedModel.
        memory: Peak bytes of the process that trained; None where none was measured.
        latencies: The median latency of each process, in all of which every network was measured.
        start_up: Seconds from the start of a process to its second training step; None where none was measured.
        trace: Seconds of the first batch of inference, beyond those of another one; None where none was measured.
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
        """That of a cell of comparison.toml, as `kept` gives it.

        Raises:
            UserError: It is damaged.
        """
        try:
            numbers = dict(cell["cost"])
            latencies = tuple(value + 0 for value in numbers.pop("latencies", ()))
            return cls(**{name: value + 0 for name, value in numbers.items()}, latencies=latencies)
        except (TypeError, AttributeError, ValueError, KeyError) as error:
            raise UserError(
                f"comparison.toml is damaged: cost: {error}: remove the file, and it is measured anew"
            ) from None

    def kept(self) -> dict[str, Any]:
        """As comparison.toml keeps it: four digits are more than a timing holds."""

        def digits(value: Any) -> Any:
            if isinstance(value, tuple):
                return [digits(one) for one in value]
            return float(f"{value:.4g}") if isinstance(value, float) else value

        return {key: digits(value) for key, value in asdict(self).items() if value is not None}
