"""What `kerascnn tune` is asked for: the flags of fit, and its own. No TensorFlow."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from kerascnn.cli.parsing import OfData, parse_config
from kerascnn.config.section import Section, nearest
from kerascnn.errors import UserError

# Flags of fit that a search decides itself, with what it says instead.
_DECIDED = {
    "--run": "a search names its runs; --name names the search",
    "--overwrite": "delete the search's directory, or choose another --name",
    "--stop-epoch": "the tuner's rungs decide it",
    "--runs-dir": "candidates lie in the search's directory: --searches-dir",
    "--patience": "rungs end candidates; --tuner hyperband",
}
# Columns of history.csv that an objective may be, and whether they are to be large.
COLUMNS = {
    "val_accuracy": "max",
    "val_macro_f1": "max",
    "val_balanced_accuracy": "max",
    "val_loss": "min",
    "accuracy": "max",
    "loss": "min",
    "seconds": "min",
    "images_per_second": "max",
    "input_wait": "min",
}


class Tune(Section):
    """What varies, how it is searched, what a candidate may cost."""

    space: str = Field("", description="what varies: a TOML file, or the name of one in kerascnn/spaces")
    tuner: Literal["random", "bayesian", "hyperband", "grid"] = Field(
        "hyperband", description="who proposes candidates"
    )
    trials: int = Field(30, ge=1, le=10_000, description="number of candidates: distinct configurations, a run each")
    max_macs: float | None = Field(None, gt=0, description="multiply-adds of an image, as in 20e6")
    max_params: float | None = Field(None, gt=0, description="parameters")
    max_latency_ms: float | None = Field(
        None, gt=0, description="median of 50 warm calls with one image, in a process like the one that would train it"
    )
    objective: str = Field(
        "auto", description="a column of history.csv (auto: what val chooses by); losses are minimised"
    )
    workers: int = Field(1, ge=1, le=64, description="candidates that train at once, each on cores of its own")
    promote: int = Field(
        0, ge=0, description="retrain the best so many and the uniform baseline, whole and with fresh seeds"
    )
    seeds: int = Field(3, ge=1, le=100, description="promote: number of fresh seeds of each, which judge")
    choose_seeds: int = Field(
        2,
        ge=1,
        le=100,
        description="promote: number of other fresh seeds of each candidate, whose val names the winner",
    )
    name: str | None = Field(None, description="the search's name (default: arch, data, space, tuner and seed)")
    searches_dir: Path = Field(Path("experiments/searches"), description="where searches are kept")
    dry_run: bool = Field(False, description="print the plan and stop")

    @field_validator("objective")
    @classmethod
    def _column(cls, column: str) -> str:
        if column not in ("auto", *COLUMNS):
            raise ValueError(
                f"expected auto or a column of history.csv ({', '.join(COLUMNS)}), got {column!r}{nearest(column, COLUMNS)}"
            )
        return column

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"[\w-][\w.-]*", name):
            raise ValueError(f"a search's name is one folder's name, got {name!r}")
        return name

    @staticmethod
    def direction(column: str) -> str:
        """Whether a column is to be large or small: "max" or "min"."""
        return COLUMNS[column]


class Request(OfData):
    """All sections of a config, and the search's."""

    tune: Tune = Tune()


def parse(argv: Sequence[str], *, prog: str, description: str) -> Request:
    """The request.

    Raises:
        UserError: An unknown flag or value, or a flag that a search decides itself.
    """
    for word in argv:
        flag = word.split("=", 1)[0]
        if flag in _DECIDED:
            raise UserError(f"{flag}: {_DECIDED[flag]}")
    request = parse_config(list(argv), prog=prog, description=description, schema=Request)
    if not request.tune.space:
        raise UserError(f"--space: which one? kerascnn/spaces has resnet_filters and inception_filters ({prog} --help)")
    return request
