"""The flags of `kerascnn tune`: those of fit and its own. No TensorFlow."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from kerascnn.cli.parsing import OfData, parse_config
from kerascnn.config.section import Section, nearest
from kerascnn.errors import UserError
from kerascnn.scoring import task as tasks
from kerascnn.studies.placement import Placement

# Flags of fit that a search decides itself, with what to type instead.
_DECIDED = {
    "--run": "a search names its runs; --name names the search",
    "--overwrite": "delete the search's directory, or choose another --name",
    "--stop-epoch": "the tuner's rungs decide it",
    "--runs-dir": "candidates lie in the search's directory: --searches-dir",
    "--patience": "rungs end candidates; --tuner hyperband",
}
# Columns of history.csv that can be an objective, and their better direction.
COLUMNS = {**tasks.COLUMNS, "seconds": "min", "images_per_second": "max", "input_wait": "min"}


class Tune(Section):
    """The search space, the tuner, and the budget of a candidate."""

    space: str = Field("", description="search space: a TOML file, or the name of one in kerascnn/spaces")
    tuner: Literal["random", "bayesian", "hyperband", "grid"] = Field(
        "hyperband", description="method that proposes candidates"
    )
    trials: int = Field(
        30, ge=1, le=10_000, description="number of candidates: distinct configurations with a run each"
    )
    max_macs: float | None = Field(None, gt=0, description="budget: multiply-adds of an image, as in 20e6")
    max_params: float | None = Field(None, gt=0, description="budget: parameters")
    max_latency_ms: float | None = Field(
        None, gt=0, description="budget: median of 50 warm calls with one image, in a process like that of a training"
    )
    objective: str = Field(
        "auto", description="column of history.csv to optimize; losses are minimized; auto: as --monitor"
    )
    promote: int = Field(
        0, ge=0, description="retrain the N best candidates and the uniform baseline in full, with fresh seeds"
    )
    seeds: int = Field(3, ge=1, le=100, description="promote: fresh seeds of each, which judge them")
    choose_seeds: int = Field(
        2,
        ge=1,
        le=100,
        description="promote: further fresh seeds of each candidate, whose val names the winner",
    )
    name: str | None = Field(None, description="name of the search (default: arch, data, space, tuner and seed)")
    searches_dir: Path = Field(
        Path("experiments/searches"), description="folder of the searches", json_schema_extra={"metavar": "DIR"}
    )
    dry_run: bool = Field(False, description="print the plan and exit")

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
        """Returns the better direction of a column: "max" or "min"."""
        return COLUMNS[column]


class TuneConfig(OfData):
    """All sections of a config, and those of a search."""

    tune: Tune = Tune()
    placement: Placement = Placement()


def parse(argv: Sequence[str], *, prog: str, description: str) -> TuneConfig:
    """Returns the request.

    Raises:
        UserError: An unknown flag or value, or a flag that a search decides itself.
    """
    request = parse_config(list(argv), prog=prog, description=description, schema=TuneConfig, decided=_DECIDED)
    if not request.tune.space:
        raise UserError(f"--space: which one? kerascnn/spaces has resnet_filters and inception_filters ({prog} --help)")
    return request
