"""Find the images that resemble an image most, by what a network sees in them."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from pydantic import Field

from kerascnn.cli.command import command
from kerascnn.cli.escaping import one_line
from kerascnn.cli.parsing import parse
from kerascnn.cli.screen import Screen
from kerascnn.config.section import Section
from kerascnn.errors import CHECK_FAILED, DONE, UserError
from kerascnn.prediction.loading import open_network

if TYPE_CHECKING:
    from kerascnn.prediction.embedding import Embedding
    from kerascnn.prediction.feature_files import Features
    from kerascnn.prediction.nearest import Neighbor


class Neighbors(Section):
    """The flags of `kerascnn neighbors`."""

    artefact: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")] = Field(
        "", description="a run (its directory, its name, or latest), a .keras file, or demo"
    )
    images: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE...")] = Field(
        (), description="the images that are asked about: files, folders, quoted patterns, or - for a list"
    )
    among: tuple[str, ...] = Field(
        (),
        description="the images that are searched: folders, files, patterns, or a file that kerascnn embed wrote",
        json_schema_extra={"metavar": "PLACE"},
    )
    top: int = Field(5, ge=1, description="neighbors of each image, the nearest first")
    html: Path | None = Field(
        None, description="also write a page with the pictures", json_schema_extra={"metavar": "FILE"}
    )
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = Field(
        False, description="print one JSON object per image and line, nothing else on standard output"
    )
    batch_size: int = Field(32, ge=1, description="images of one call of the network")


@command
def main(argv: list[str]) -> int:
    """`kerascnn neighbors MODEL IMAGE... --among PLACE`: prints the nearest images; 1 if some could not be used."""
    asked = parse(Neighbors, argv, prog="kerascnn neighbors", description=__doc__ or "")
    if not asked.artefact or not asked.images or not asked.among:
        raise UserError("which network, which images, among which? kerascnn neighbors MODEL IMAGE... --among FOLDER")
    screen = Screen(errors=True)
    embedding, network = open_network(asked.artefact, asked.batch_size, screen)
    from kerascnn.prediction.embedding import whole
    from kerascnn.prediction.nearest import nearest

    query = whole(embedding.of(asked.images, "looking at the images"))
    found = nearest(query, _searched(asked.among, embedding, network), asked.top)
    for path, near in zip(query.paths, found, strict=True):
        print(_json(path, near) if asked.as_json else "\n".join(_lines(path, near)))
    if asked.html is not None:
        _write_page(asked.html, embedding, query.paths, found)
        screen.say(f"the pictures are in {asked.html}")
    return CHECK_FAILED if embedding.refused else DONE


def _searched(words: Sequence[str], embedding: "Embedding", network: str) -> Iterator["Features"]:
    """Yields the features of the images that are searched, from files where they are known."""
    from kerascnn.prediction import feature_files

    known = [word for word in words if Path(word).suffix in feature_files.SUFFIXES and Path(word).is_file()]
    for word in known:
        yield from feature_files.read(Path(word), network)
    if rest := [word for word in words if word not in known]:
        yield from embedding.of(rest, "looking at the images that are searched")


def _lines(path: str, near: Sequence["Neighbor"]) -> Iterator[str]:
    yield one_line(path)
    for neighbor in near:
        yield f"  {neighbor.similarity:6.3f}  {one_line(neighbor.path)}"


def _json(path: str, near: Sequence["Neighbor"]) -> str:
    listed = [{"image": one.path, "similarity": round(one.similarity, 6)} for one in near]
    return json.dumps({"image": path, "neighbors": listed})


def _write_page(
    file: Path, embedding: "Embedding", paths: Sequence[str], found: Sequence[Sequence["Neighbor"]]
) -> None:
    from kerascnn.prediction import neighbors_page
    from kerascnn.report.html import neighbors_html
    from kerascnn.runs import files

    page = neighbors_page.page(embedding.predictor, embedding.name, paths, found)
    files.write_file(file, neighbors_html(page).encode())


if __name__ == "__main__":
    sys.exit(main())
