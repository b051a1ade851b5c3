"""The flags of `kerascnn soup`. No TensorFlow."""

from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field

from kerascnn.config.section import Section


class SoupConfig(Section):
    """The flags of `kerascnn soup`."""

    runs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN...")] = Field(
        (), description="finished runs of one network on the same images and splits, best from the same initial weights"
    )
    greedy: bool = Field(
        False, description="by falling score on val, take a run only if the score of the average does not fall"
    )
    name: str | None = Field(None, description="name of the new run (default: soup_<arch>_<dataset>-<6 hex>)")
    runs_dir: Path = Field(
        Path("experiments/runs"), description="folder of the runs", json_schema_extra={"metavar": "DIR"}
    )
    dataset: str | None = Field(None, description="present place of the runs' images, if they have moved")
    data_dir: str | None = Field(
        None,
        description="present folder of the prepared data of TensorFlow Datasets",
        json_schema_extra={"metavar": "DIR"},
    )
    verbose: bool = Field(False, description="show TensorFlow's own output")
