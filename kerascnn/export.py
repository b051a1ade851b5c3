"""Export a finished run as artefacts that are proven equal to it: SavedModel, LiteRT, ONNX, Keras."""

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from pydantic import Field

from kerascnn.cli.command import command
from kerascnn.cli.escaping import one_line
from kerascnn.cli.parsing import parse
from kerascnn.cli.screen import Screen, quiet, starting
from kerascnn.config.section import Section
from kerascnn.data import preflight
from kerascnn.errors import CHECK_FAILED, DONE, UserError
from kerascnn.processes.fork_server import ForkServer
from kerascnn.runs import Run, finding

if TYPE_CHECKING:
    from kerascnn.artefacts.exporting import Exported

Format = Literal["savedmodel", "litert", "litert-float32", "litert-float16", "litert-int8", "onnx", "keras"]


class Export(Section):
    """The flags of `kerascnn export`."""

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")] = Field(
        "", description="the run: its directory, its name, or latest"
    )
    formats: tuple[Format, ...] = Field(
        ("savedmodel",),
        min_length=1,
        description="formats; litert is its float32, float16 and int8 (extra litert); onnx (extra onnx)",
    )
    name: str | None = Field(None, description="name of the folder below --exports-dir (default: the run's name)")
    calibrate: bool = Field(False, description="include the temperature that `kerascnn evaluate` fitted on val")
    allow_drop: float = Field(
        1.0,
        ge=0,
        le=100,
        description="percentage of images (or labels) whose prediction may change in float16 and int8",
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
    screen = Screen()
    with starting(screen), quiet(asked.verbose):
        server = ForkServer.here()
        from kerascnn.artefacts import exporting
    with quiet(asked.verbose), server or contextlib.nullcontext():
        done = exporting.export(
            run,
            asked.exports_dir,
            exporting.ExportOptions(asked.formats, asked.name, asked.calibrate, asked.allow_drop),
            dataset=asked.dataset,
            data_dir=asked.data_dir,
            say=screen.say,
            phases=screen,
            server=server,
        )
    return report(done)


def report(done: "Exported") -> int:
    """Prints the folder of the version; 1 if it lacks an artefact that was asked for."""
    from kerascnn.artefacts import proof

    if done.reused:
        for row in done.rows:
            print(proof.line(row))
    print(f"{'there already' if done.reused else 'exported'}: {one_line(str(done.version))}")
    missing = proof.failed(done.rows)
    for lacking in missing:
        drop = " (--allow-drop P)" if lacking.get("limit", "").startswith(("top-1", "same labels")) else ""
        print(f"kerascnn: {lacking['artefact']} was not kept: {one_line(proof.why(lacking))}{drop}", file=sys.stderr)
    return CHECK_FAILED if missing else DONE


if __name__ == "__main__":
    sys.exit(main())
