"""List the networks with parameters, multiply-adds, activations and papers, or the filter names of one.

A function of your own (FILE.py:FUNCTION) and networks of keras.applications (keras:NAME, keras:* for all) are listed by name.
"""

import contextlib
import fnmatch
import json
import sys
from typing import Annotated, Any

import tyro
from pydantic import Field

from kerascnn.architectures import filters, own, tables
from kerascnn.cli.command import command
from kerascnn.cli.parsing import parse
from kerascnn.cli.screen import quiet
from kerascnn.config.section import Section
from kerascnn.errors import DONE, UserError


class Archs(Section):
    """The flags of `kerascnn archs`."""

    pattern: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[NAME]")] = Field(
        "*",
        description="names to list, with * and ? as in a shell; `resnet` lists all that begin with it; keras:NAME;"
        " FILE.py:FUNCTION",
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
    names = _names(asked.pattern)
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
    if asked.pattern == "*" and not asked.as_json:
        print(f"also {len(own.networks())} networks of keras.applications as keras:NAME (`kerascnn archs 'keras:*'`),")
        print("and a function of your own as FILE.py:FUNCTION (docs/own-network.md)")
    return DONE


def _names(pattern: str) -> list[str]:
    """Returns the archs of a pattern."""
    if function := own.parse(pattern):
        found = [name for name in own.networks() if fnmatch.fnmatchcase(name, function.function)]
        if function.file is None and found:
            return [f"{own.KERAS}{name}" for name in found]
        own.check(function)
        return [pattern]
    names = [name for name in tables.ARCHS if fnmatch.fnmatchcase(name, pattern)]
    names = names or [name for name in tables.ARCHS if name.startswith(pattern)]
    if not names:
        tables.row(pattern)  # its error names the nearest arch
        raise UserError(f"no arch matches {pattern!r}")
    return names


def count(name: str, image_size: int | None, classes: int | None) -> dict[str, Any]:
    """Returns what one network costs; builds it without weights, but for one of a function."""
    with quiet():
        from kerascnn import models
        from kerascnn.models import cost
    function = own.parse(name)
    row = None if function else tables.row(name)
    size = image_size or (row.image_size if row else 224)
    classes = classes or (10 if size <= tables.SMALL_IMAGE else 1000)
    with contextlib.nullcontext() if function else cost.weightless():
        found = cost.count(models.build(name, (size, size, 3), classes))
    about = "no paper: a function of your own" if function and function.file else "see keras.applications"
    uncounted = f"; MACs are without {', '.join(found.unknown)}" if found.unknown else ""
    return {
        "name": own.shown(name),
        "family": tables.family(name),
        "year": row.year if row else None,
        "paper": f"{row.paper if row else about}{uncounted}",
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
    if own.parse(name):
        print("  none: a function names its filters itself")
        return
    for layer, counts in filters.names(name).items():
        print(f"  {layer:<28} {' '.join(map(str, dict.fromkeys(counts)))}")


if __name__ == "__main__":
    sys.exit(main())
