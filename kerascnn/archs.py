"""List the networks with parameters, multiply-adds, activations and papers, or the filter names of one."""

import fnmatch
import json
import sys
from typing import Annotated, Any

import tyro
from pydantic import Field

from kerascnn.architectures import filters, tables
from kerascnn.cli.command import command
from kerascnn.cli.parsing import parse
from kerascnn.cli.screen import quiet
from kerascnn.config.section import Section
from kerascnn.errors import DONE, UserError


class Archs(Section):
    """The flags of `kerascnn archs`."""

    pattern: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[NAME]")] = Field(
        "*", description="names to list, with * and ? as in a shell; `resnet` lists all that begin with it"
    )
    image_size: int | None = Field(
        None, ge=8, le=1024, description="image size of the counts (default: each network's published size)"
    )
    classes: int | None = Field(None, ge=1, description="classes of the counts (default: 1000; 10 up to 64 px)")
    layers: bool = Field(False, description="list the filter names that --filters takes, with their counts")
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = Field(
        False, description="print one JSON object per line and nothing else"
    )


@command
def main(argv: list[str]) -> int:
    """`kerascnn archs`: prints a table, or JSON lines."""
    asked = parse(Archs, argv, prog="kerascnn archs", description=__doc__ or "")
    names = [name for name in tables.ARCHS if fnmatch.fnmatchcase(name, asked.pattern)]
    names = names or [name for name in tables.ARCHS if name.startswith(asked.pattern)]
    if not names:
        tables.row(asked.pattern)  # its error names the nearest arch
        raise UserError(f"no arch matches {asked.pattern!r}")
    if asked.layers:
        for name in names:
            _show_layers(name)
        return DONE
    if not asked.as_json:
        columns = f"{'name':<24} {'family':<10} {'year':<5} {'px':>4} {'classes':>7}"
        print(f"{columns} {'parameters':>13} {'MACs':>11}  activations  paper")
    for name in names:
        facts = count(name, asked.image_size, asked.classes)
        print(json.dumps(facts) if asked.as_json else _line(facts), flush=True)
    return DONE


def count(name: str, image_size: int | None, classes: int | None) -> dict[str, Any]:
    """Returns what one network costs; builds it without weights."""
    with quiet():
        from kerascnn import models
        from kerascnn.models import cost
    row = tables.row(name)
    size = image_size or row.image_size
    classes = classes or (10 if size <= tables.SMALL_IMAGE else 1000)
    with cost.weightless():
        found = cost.count(models.build(name, (size, size, 3), classes))
    return {
        "name": name,
        "family": row.family,
        "year": row.year,
        "paper": row.paper,
        "image_size": size,
        "classes": classes,
        "params": found.params,
        "trainable": found.trainable,
        "macs": found.macs,
        "activations": found.activations,
    }


def _line(facts: dict[str, Any]) -> str:
    return (
        f"{facts['name']:<24} {facts['family']:<10} {facts['year'] or '-':<5} {facts['image_size']:>4} {facts['classes']:>7}"
        f" {facts['params']:>13,} {facts['macs'] / 1e6:>9,.1f} M {facts['activations'] / 1e6:>10,.2f} M  {facts['paper']}"
    )


def _show_layers(name: str) -> None:
    print(name)
    for layer, counts in filters.names(name).items():
        print(f"  {layer:<28} {' '.join(map(str, dict.fromkeys(counts)))}")


if __name__ == "__main__":
    sys.exit(main())
