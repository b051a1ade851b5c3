"""An export as a command asks for it and reports it. No TensorFlow until it begins."""

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kerascnn.cli.escaping import one_line
from kerascnn.cli.screen import Screen, quiet, starting
from kerascnn.errors import CHECK_FAILED, DONE
from kerascnn.processes.fork_server import ForkServer
from kerascnn.runs import Run

if TYPE_CHECKING:
    from kerascnn.artefacts.exporting import Exported

Format = Literal[
    "all", "savedmodel", "litert", "litert-float32", "litert-float16", "litert-int8", "onnx", "openvino", "keras"
]


def carry_out(
    run: Run,
    exports_dir: Path,
    options: dict[str, Any],
    *,
    dataset: str | None,
    data_dir: str | None,
    verbose: bool,
) -> "Exported":
    """Exports a run and shows the progress.

    Args:
        run: A finished run.
        exports_dir: Folder of the exports.
        options: Fields of `exporting.ExportOptions`.
        dataset: The present place of the run's data, if they have moved.
        data_dir: The present folder of the prepared data of TensorFlow Datasets.
        verbose: Whether the output of TensorFlow and of the converters is shown.
    """
    screen = Screen()
    with starting(screen), quiet(verbose):
        server = ForkServer.here()
        from kerascnn.artefacts import exporting
    with quiet(verbose), server or contextlib.nullcontext():
        return exporting.export(
            run,
            exports_dir,
            exporting.ExportOptions(**options),
            dataset=dataset,
            data_dir=data_dir,
            say=screen.say,
            phases=screen,
            server=server,
        )


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
