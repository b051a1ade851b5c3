"""Write what a network sees in images, its features, to a file: for search, clustering and a look at the data."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from pydantic import Field

from kerascnn.cli.command import command
from kerascnn.cli.parsing import parse
from kerascnn.cli.screen import Screen
from kerascnn.config.section import Section
from kerascnn.data import formats
from kerascnn.errors import CHECK_FAILED, DONE, UserError
from kerascnn.prediction.loading import open_network

if TYPE_CHECKING:
    from kerascnn.prediction.embedding import Embedding


class Embed(Section):
    """The flags of `kerascnn embed`."""

    artefact: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")] = Field(
        "", description="a run (its directory, its name, or latest), a .keras file, or demo"
    )
    images: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE...")] = Field(
        (),
        description="files, folders (all images below), quoted patterns, or - for a list on standard input; in "
        f"{formats.NAMES}",
    )
    output: Path | None = Field(
        None,
        description="the file: .parquet (columns path and features), or .npy with the paths in a file beside it",
        json_schema_extra={"metavar": "FILE"},
    )
    projector: Path | None = Field(
        None,
        description="folder for TensorBoard's projector: the features as points, with thumbnails",
        json_schema_extra={"metavar": "DIR"},
    )
    batch_size: int = Field(32, ge=1, description="images of one call of the network")


@command
def main(argv: list[str]) -> int:
    """`kerascnn embed MODEL IMAGE... --output FILE`: writes features; 1 if some images could not be used."""
    asked = parse(Embed, argv, prog="kerascnn embed", description=__doc__ or "")
    if not asked.artefact or not asked.images:
        raise UserError("which network and which images? kerascnn embed MODEL IMAGE... --output FILE.parquet")
    if asked.output is None and asked.projector is None:
        raise UserError("where to? --output FILE.parquet, --output FILE.npy or --projector DIR")
    if asked.output is not None and asked.output.suffix not in (".parquet", ".npy"):
        raise UserError(f"--output: expected FILE.parquet or FILE.npy, got {asked.output}")
    screen = Screen()
    embedding, network = open_network(asked.artefact, asked.batch_size, screen)
    _write(asked, embedding, network, screen)
    if asked.projector is not None:
        screen.say(f"open it with: tensorboard --logdir {asked.projector}")
    return CHECK_FAILED if embedding.refused else DONE


def _write(asked: Embed, embedding: "Embedding", network: str, screen: Screen) -> None:
    from kerascnn.prediction import embedding as embeddings
    from kerascnn.prediction import feature_files

    parts = embedding.of(asked.images, "computing features")
    if asked.projector is not None:
        found = embeddings.whole(parts)
        with screen.phase("writing the projector's files"):
            feature_files.write_projector(asked.projector, found, embedding.thumbnails(found.paths))
        parts = iter([found] if found.paths else [])
    if asked.output is not None:
        write = feature_files.write_npy if asked.output.suffix == ".npy" else feature_files.write_parquet
        count = write(asked.output, parts, network)
        screen.say(f"wrote the features of {count:,} images to {asked.output}")


if __name__ == "__main__":
    sys.exit(main())
