"""What `kerascnn benchmark` is asked for: the flags of fit, and its own. No TensorFlow."""

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
    """Which archs, what of them, beside what."""

    archs: tuple[str, ...] = Field((), description="several at once (default: --arch)")
    parts: tuple[PartName, ...] = Field(
        ("input", "train", "inference", "memory"),
        min_length=1,
        description="input: batches without a network; train: the compiled step on one batch that is kept ready; inference:"
        " float32, as exports are; memory: the most a training process holds, each in a process of its own",
    )
    vs: Literal["none", "stock"] = Field(
        "none",
        description="stock: the same arch without the fast paths, in the same rounds; ratios are taken pair by pair",
    )
    rounds: int = Field(
        5, ge=3, le=1000, description="figures are medians of so many rounds; in each every part has its turn"
    )
    seconds: float = Field(1.0, gt=0, le=600, description="about how long each part of a round takes")
    against: Path | None = Field(
        None, description="a file of --json from before: print what changed; figures of another device are refused"
    )
    trace: bool = Field(False, description="also name the ten most expensive operations of the training step (xprof)")
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = Field(
        False, description="one JSON object a line for each arch and form, nothing else"
    )
    csv: bool = Field(False, description="a line of comma-separated values for each arch and form, nothing else")

    @field_validator("archs", "parts")
    @classmethod
    def _once(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(values)) != len(values):
            raise ValueError(f"expected each once, got {' '.join(values)}")
        return values


class Request(OfData):
    """All sections of a config, and the benchmark's."""

    benchmark: Benchmark = Benchmark()

    def configs(self) -> list[Config]:
        """One config for each arch that is asked for."""
        names = self.benchmark.archs or (self.model.arch,)
        return [self.config.replace(model={"arch": name}) for name in names]


def parse(argv: Sequence[str], *, prog: str, description: str) -> Request:
    """The request that `argv` describes.

    Raises:
        UserError: An unknown flag or value.
    """
    return parse_config(argv, prog=prog, description=description, schema=Request)
