"""Data sets: `load` lists and splits one, `pipeline` turns its splits into batches. Importing this loads no TensorFlow."""

from __future__ import annotations

import importlib
import os
import re
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from kerascnn.cli.escaping import expanded, resolved
from kerascnn.cli.progress import SILENT, Phases
from kerascnn.config import Data
from kerascnn.config.addresses import is_remote
from kerascnn.data.room import Missing, Room
from kerascnn.errors import UserError

if TYPE_CHECKING:
    from kerascnn.data.decode import Mode
    from kerascnn.data.listing import Listing
    from kerascnn.data.splits import Split, Splits

__all__ = ["Missing", "Room", "Split", "Splits", "default_image_size", "load", "load_as_given", "short_name"]


class Form(NamedTuple):
    """A kind of data set: the module that lists it, and the side of its images if they are small."""

    module: str
    sizes: dict[str, int]


SMALL_HF = ("cifar10", "cifar100", "mnist", "fashion_mnist", "svhn")  # names after the slash
# A new kind of data set is one module with `listing` and one row.
FORMS = {
    "": Form("kerascnn.data.embedded", {"fashion_mnist_mini": 32}),
    "tfds": Form(
        "kerascnn.data.tfds",
        dict.fromkeys(("cifar10", "cifar100", "svhn_cropped", "mnist", "fashion_mnist", "kmnist", "emnist"), 32),
    ),
    "folder": Form("kerascnn.data.folder", {}),
    "table": Form("kerascnn.data.table", {}),
    "wds": Form("kerascnn.data.wds", {}),
    "tfrecord": Form("kerascnn.data.tfrecord", {}),
    "npz": Form("kerascnn.data.npz", {}),
    "hf": Form("kerascnn.data.hf", dict.fromkeys(SMALL_HF, 32)),
}
TABLE_SUFFIXES = frozenset((".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"))
LARGE = 224
# Forms that are named by a path or a pattern, with an example.
PATHS = {
    "folder": "photos",
    "table": "photos.csv",
    "wds": "photos/*.tar",
    "tfrecord": "photos/*.tfrecord",
    "npz": "photos.npz",
}
PATTERNS = ("wds", "tfrecord")
LONGEST = 100  # characters of the data set in a name: file systems allow 255 bytes for the whole name


def parse(dataset: str) -> tuple[str, str]:
    """Returns (form, name) of a data set: a key of FORMS and the text after it."""
    if is_remote(dataset):
        return ("table" if _suffix(dataset) in TABLE_SUFFIXES else "folder"), dataset
    form, colon, name = dataset.partition(":")
    if colon and form in FORMS and form:
        return form, name
    if dataset in FORMS[""].sizes:
        return "", dataset
    return ("table" if _is_table(dataset) else "folder"), dataset


def _suffix(address: str) -> str:
    return PurePosixPath(urlsplit(address).path).suffix.lower()


def _is_table(dataset: str) -> bool:
    """Returns whether a path is a table's: a file is one, which its content must show, and so is a missing CSV file."""
    path = expanded(dataset)
    return os.path.isfile(path) or (path.suffix.lower() in TABLE_SUFFIXES and not os.path.isdir(path))  # noqa: PTH112, PTH113


def default_image_size(dataset: str) -> int:
    """Returns height and width without --image-size."""
    form, name = parse(dataset)
    if form == "npz":
        from kerascnn.data import arrays

        return arrays.small_side(expanded(name)) or LARGE
    if form == "tfds":
        name = re.split(r"[/:\[]", name)[0]
    elif form == "hf":
        name = re.split(r"[:@]", name)[0].rpartition("/")[2]
    return FORMS[form].sizes.get(name, LARGE)


def short_name(dataset: str) -> str:
    """Returns the data set's part of a run's name: letters, digits, dot, dash and underscore."""
    form, name = parse(dataset)
    if form in PATHS:
        path = (
            PurePosixPath(urlsplit(name).netloc + urlsplit(name).path) if is_remote(name) else resolved(expanded(name))
        )
        if form == "folder":
            name = path.name
        else:
            name = path.parent.name if form in PATTERNS and re.search(r"[*?\[{]", path.name) else path.stem
    elif form == "hf" and os.path.isdir(expanded(name)):  # noqa: PTH112
        name = resolved(expanded(name)).name
    plain = re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII).strip("_.")
    return plain[:LONGEST].rstrip("_.") or "data"


def resize_mode(section: Data, image_size: int) -> Mode:
    """Returns crop, pad or squash; auto is crop above 64 px."""
    if section.resize != "auto":
        return section.resize
    return "crop" if image_size > 64 else "squash"


def load(section: Data, room: Room = Room(), phases: Phases = SILENT) -> Splits:  # noqa: B008 - frozen
    """Returns the data set of `section`, split into train, val and test.

    Args:
        section: The images and their splits.
        room: Resources of the listing: the folder that remembers digests of files, and the display of its progress.

    With `folds` one fold is test; without `fold` all folds are train, for an ensemble of their networks.

    Raises:
        UserError: The data set does not exist, or is not suitable for training and test; the message says what to do.
    """
    return cut_of(listed(section, room, phases), section, room)


def load_as_given(section: Data, room: Room = Room(), phases: Phases = SILENT) -> Splits:  # noqa: B008
    """Returns the data set of `section` with its own splits, to score a network that was not trained on it.

    A data set without splits becomes test; train may be empty, and there may be few classes.

    Raises:
        UserError: The data set does not exist, or has no images.
    """
    from kerascnn.data.as_given import as_given

    found = listed(section, room, phases)
    return as_given(found, found.source.size, found.source.mode)


def cut_of(listing: Listing, section: Data, room: Room = Room()) -> Splits:  # noqa: B008 - frozen
    """Returns a data set of `listed`, split into train, val and test; raises as `load`."""
    from kerascnn.data import folds
    from kerascnn.data.cut import cut

    if section.dedupe == "group":
        from kerascnn.data import copies

        listing = copies.grouped(listing, section, room)
        section = section.model_copy(update={"group_by": None})  # the listing's groups now hold these too
    size, resize = listing.source.size, listing.source.mode
    if section.folds is None:
        return cut(listing, section, size, resize)
    if section.fold is None:
        return folds.whole(listing, section, size, resize)
    return cut(folds.applied(listing, section), section, size, resize)


def listed(section: Data, room: Room = Room(), phases: Phases = SILENT) -> Listing:  # noqa: B008 - frozen
    """Returns the images of a data set with their corrections, before they are split; raises as `load`."""
    from kerascnn.data import corrections, labels

    form, name = parse(section.dataset)
    size = section.image_size or default_image_size(section.dataset)
    resize = resize_mode(section, size)
    if form in PATHS and not name:
        raise UserError(f"{form}: needs a path, as in {form}:{PATHS[form]}")
    room = replace(room, excluded=corrections.excluded(section))
    with phases.phase(f"listing {short_name(section.dataset)}"):
        listing = importlib.import_module(FORMS[form].module).listing(section, size, resize, room)
    labels.for_task(listing, section.task)
    return corrections.applied(listing, section)


def __getattr__(name: str) -> object:
    if name in ("Split", "Splits"):
        return getattr(importlib.import_module("kerascnn.data.splits"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
