"""Export a finished run as artefacts that are proven equal to it: SavedModel, LiteRT, ONNX, OpenVINO, Keras."""

import sys
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field

from kerascnn.artefacts import requested
from kerascnn.artefacts.requested import Format
from kerascnn.cli.command import command
from kerascnn.cli.parsing import parse
from kerascnn.config.section import Section
from kerascnn.data import preflight
from kerascnn.errors import UserError
from kerascnn.runs import Run, finding


class Export(Section):
    """The flags of `kerascnn export`."""

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")] = Field(
        "", description="the run: its directory, its name, or latest"
    )
    formats: tuple[Format, ...] = Field(
        ("savedmodel",),
        min_length=1,
        description="formats; litert is its float32, float16 and int8; litert, onnx and openvino need the extra of that name",
    )
    name: str | None = Field(None, description="name of the folder below --exports-dir (default: the run's name)")
    calibrate: bool = Field(False, description="include the temperature that `kerascnn evaluate` fitted on val")
    allow_drop: float = Field(
        1.0,
        ge=0,
        le=100,
        description="percentage of images (or labels) whose prediction may change in float16 and int8",
    )
    class_thresholds: bool = Field(
        False,
        description="give the prediction sets inside a threshold for each class that has enough calibration images",
    )
    exports_dir: Path = Field(
        Path("saved_models"), description="folder of the exports", json_schema_extra={"metavar": "DIR"}
    )
    dataset: str | None = Field(None, description="present place of the run's images, if they have moved")
    data_dir: str | None = Field(
        None,
        description="present folder of the prepared data of TensorFlow Datasets",
        json_schema_extra={"metavar": "DIR"},
    )
    verbose: bool = Field(False, description="show the output of TensorFlow and the converters")


@command
def main(argv: list[str]) -> int:
    """`kerascnn export RUN`: writes, proves, publishes; 1 if an artefact does not agree with the run."""
    asked = parse(Export, argv, prog="kerascnn export", description=__doc__ or "")
    if not asked.run:
        raise UserError("which run? kerascnn export RUN (kerascnn export --help)")
    run = Run(finding.find(asked.run))
    run.config()  # refuses what is not a run, before TensorFlow starts
    run.metrics()
    preflight.dataset(asked.dataset, asked.data_dir)
    options = {
        "formats": asked.formats,
        "name": asked.name,
        "calibrate": asked.calibrate,
        "allow_drop": asked.allow_drop,
        "class_thresholds": asked.class_thresholds,
    }
    done = requested.carry_out(
        run,
        asked.exports_dir,
        options,
        dataset=asked.dataset,
        data_dir=asked.data_dir,
        verbose=asked.verbose,
    )
    return requested.report(done)


if __name__ == "__main__":
    sys.exit(main())
