"""The flags of `kerascnn benchmark`: those of fit and its own. No TensorFlow."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro
from pydantic import Field, field_validator

from kerascnn.cli.parsing import OfData, parse_config
from kerascnn.config import Config
from kerascnn.config.section import Section

PartName = Literal["input", "train", "inference", "memory"]


class Benchmark(Section):
    """The archs, the parts that are timed, and what they are compared with."""

    archs: tuple[str, ...] = Field((), description="archs to time (default: that of --arch)")
    parts: tuple[PartName, ...] = Field(
        ("input", "train", "inference", "memory"),
        min_length=1,
        description="input: batches without a network; train: the compiled step on one prepared batch; inference: float32, as in"
        " exports; memory: the peak of a training process, each in its own",
    )
    vs: Literal["none", "stock"] = Field(
        "none",
        description="stock: also time each arch without the fast paths, in the same rounds, for paired ratios",
    )
    rounds: int = Field(
        5, ge=3, le=1000, description="rounds, in each of which every part is timed once; figures are medians over them"
    )
    seconds: float = Field(1.0, gt=0, le=600, description="approximate time of each part of a round")
    against: Path | None = Field(
        None,
        description="file of an earlier --json: print what changed; other devices are refused",
        json_schema_extra={"metavar": "FILE"},
    )
    trace: bool = Field(False, description="also list the ten most expensive operations of the training step (xprof)")
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = Field(
        False, description="print one JSON object per line for each arch and form, nothing else"
    )
    csv: bool = Field(False, description="print one CSV line for each arch and form, nothing else")

    @field_validator("archs", "parts")
    @classmethod
    def _once(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(values)) != len(values):
            raise ValueError(f"expected each once, got {' '.join(values)}")
        return values


class BenchmarkConfig(OfData):
    """All sections of a config, and those of a benchmark."""

    benchmark: Benchmark = Benchmark()

    def configs(self) -> list[Config]:
        """Returns one config for each requested arch."""
        names = self.benchmark.archs or (self.model.arch,)
        return [self.config.replace(model={"arch": name}) for name in names]


def parse(argv: Sequence[str], *, prog: str, description: str) -> BenchmarkConfig:
    """Returns the request of `argv`.

    Raises:
        UserError: An unknown flag or value.
    """
    return parse_config(argv, prog=prog, description=description, schema=BenchmarkConfig)
