"""Publish a finished run on the Hugging Face hub or on Kaggle: its proven export, with a card."""

import shutil
import sys
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field

from kerascnn.artefacts import requested
from kerascnn.artefacts.requested import Format
from kerascnn.cli.command import command
from kerascnn.cli.escaping import one_line
from kerascnn.cli.extras import require
from kerascnn.cli.parsing import parse
from kerascnn.config.section import Section
from kerascnn.data import preflight
from kerascnn.errors import CHECK_FAILED, DONE, UserError
from kerascnn.publishing import destination, hugging_face, kaggle
from kerascnn.publishing.destination import Destination
from kerascnn.runs import Run, finding
from kerascnn.runs.scratch import scratch


class Push(Section):
    """The flags of `kerascnn push`."""

    words: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN HUB")] = Field(
        (), description="the run (its directory, its name, or latest), and hf://USER/NAME or kaggle://USER/NAME"
    )
    formats: tuple[Format, ...] = Field(
        ("keras", "savedmodel"), min_length=1, description="formats of the export, as `kerascnn export` has them"
    )
    license: str | None = Field(
        None,
        pattern=r"^[\w .+-]{1,64}$",
        description="license, as the hub writes it, such as apache-2.0 (default: none is named)",
    )
    public: bool = Field(False, description="hf: a repository that is made here is public, not private")
    message: str = Field(
        "Model exported by kerascnn", min_length=1, description="title of the commit, or version notes"
    )
    dry_run: bool = Field(False, description="print what would be sent, and send nothing")
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
    """`kerascnn push RUN HUB`: exports the run, or takes the export that is there, and uploads it."""
    asked = parse(Push, argv, prog="kerascnn push", description=__doc__ or "")
    if len(asked.words) != 2:
        raise UserError("what, and where to? kerascnn push RUN hf://USER/NAME (kerascnn push --help)")
    to = destination.parse(asked.words[1])
    if asked.public and to.hub == "kaggle":
        raise UserError("--public: Kaggle makes a new model private; its page has the switch")
    run = Run(finding.find(asked.words[0]))
    run.config()  # refuses what is not a run, before TensorFlow starts
    run.metrics()
    require("hub", "huggingface_hub")  # its classes write the card, also for Kaggle
    if not asked.dry_run:
        {"hf": hugging_face, "kaggle": kaggle}[to.hub].check()
    preflight.dataset(asked.dataset, asked.data_dir)
    done = requested.carry_out(
        run,
        asked.exports_dir,
        {"formats": asked.formats},
        dataset=asked.dataset,
        data_dir=asked.data_dir,
        verbose=asked.verbose,
    )
    if requested.report(done) == CHECK_FAILED:
        print("kerascnn: nothing was sent", file=sys.stderr)
        return CHECK_FAILED
    with scratch() as place:
        folder = prepared(run, done.version, to, asked.license, place / to.name)
        if asked.dry_run:
            _show(folder, to)
            return DONE
        print(f"sending {_count(folder)} to {to} ...")
        if to.hub == "hf":
            address = hugging_face.push(folder, to, public=asked.public, message=asked.message)
        else:
            address = kaggle.push(folder, to, license_name=asked.license, message=asked.message)
    print(f"published: {one_line(address)}")
    return DONE


def prepared(run: Run, version: Path, to: Destination, license_name: str | None, folder: Path) -> Path:
    """Returns `folder` with what is sent: the export, whose README.md becomes the hub's card."""
    from kerascnn.artefacts import card
    from kerascnn.publishing import hub_card

    shutil.copytree(version, folder)
    page = hub_card.page(run, version, to.name, license_name, to.repository)
    (folder / card.README_FILE).write_text(page, encoding="utf-8")
    (folder / card.CARD_FILE).unlink()  # the page holds it
    return folder


def _show(folder: Path, to: Destination) -> None:
    """Prints the files that would be sent, and the card."""
    print(f"would send {_count(folder)} to {to}:")
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        print(f"  {path.stat().st_size / 1e6:>9.3f} MB  {one_line(path.relative_to(folder).as_posix())}")
    print("\nREADME.md:\n")
    for line in (folder / "README.md").read_text(encoding="utf-8").splitlines():
        print(f"  {one_line(line)}" if line else "")


def _count(folder: Path) -> str:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return f"{len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.1f} MB,"


if __name__ == "__main__":
    sys.exit(main())
