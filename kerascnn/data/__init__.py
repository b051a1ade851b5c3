"""Data sets: `load` lists and cuts one, `pipeline` turns its splits into batches. Importing this loads no TensorFlow."""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, NamedTuple

from kerascnn.cli.escaping import expanded, resolved
from kerascnn.cli.progress import SILENT, Phases
from kerascnn.config import Data
from kerascnn.data.room import Missing, Room
from kerascnn.errors import UserError

if TYPE_CHECKING:
    from kerascnn.data.decode import Mode
    from kerascnn.data.listing import Listing
    from kerascnn.data.splits import Split, Splits

__all__ = ["Missing", "Room", "Split", "Splits", "default_image_size", "load", "load_uncut", "short_name"]


class Form(NamedTuple):
    """Where a kind of data set is listed, and its images' side where that is small."""

    module: str
    sizes: dict[str, int]


# A data set of known size is one entry here; a new kind is one module with `listing` and one row.
FORMS = {
    "": Form("kerascnn.data.embedded", {"fashion_mnist_mini": 32}),
    "tfds": Form(
        "kerascnn.data.tfds",
        dict.fromkeys(("cifar10", "cifar100", "svhn_cropped", "mnist", "fashion_mnist", "kmnist", "emnist"), 32),
    ),
    "folder": Form("kerascnn.data.folder", {}),
}
LARGE = 224
LONGEST = 100  # letters of a data set's part of a name: file systems take 255 bytes in all


def parse(dataset: str) -> tuple[str, str]:
    """(form, name) of a data set: a key of FORMS and what follows it."""
    form, colon, name = dataset.partition(":")
    if colon and form in FORMS and form:
        return form, name
    if dataset in FORMS[""].sizes:
        return "", dataset
    return "folder", dataset


def default_image_size(dataset: str) -> int:
    """Height and width where --image-size is not given."""
    form, name = parse(dataset)
    return FORMS[form].sizes.get(re.split(r"[/:\[]", name)[0] if form == "tfds" else name, LARGE)


def short_name(dataset: str) -> str:
    """The data set's part of a run's name: letters, digits, dot, dash and underscore."""
    form, name = parse(dataset)
    if form == "folder":
        name = resolved(expanded(name)).name
    plain = re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII).strip("_.")
    return plain[:LONGEST].rstrip("_.") or "data"


def resize_mode(section: Data, image_size: int) -> Mode:
    """crop, pad or squash; auto is crop above 64 px."""
    if section.resize != "auto":
        return section.resize
    return "crop" if image_size > 64 else "squash"


def load(section: Data, room: Room = Room(), phases: Phases = SILENT) -> Splits:  # noqa: B008 - frozen
    """The data set that `section` names, cut into train, val and test.

    Args:
        section: Which images, and who is where.
        room: What the listing may use: where digests of files are remembered, and what shows its progress.

    Raises:
        UserError: It does not exist, or cannot be trained and tested on; the message says what to do.
    """
    from kerascnn.data.cut import cut

    listing, size, resize = _listed(section, room, phases)
    return cut(listing, section, size, resize)


def load_uncut(section: Data, room: Room = Room(), phases: Phases = SILENT) -> Splits:  # noqa: B008
    """The data set that `section` names with the splits that it comes with, to score a network that never saw it.

    One without splits is wholly test; train may be empty, and classes may be few.

    Raises:
        UserError: It does not exist, or has no images.
    """
    from kerascnn.data.uncut import uncut

    return uncut(*_listed(section, room, phases))


def _listed(section: Data, room: Room, phases: Phases) -> tuple[Listing, int, Mode]:

    form, name = parse(section.dataset)
    size = section.image_size or default_image_size(section.dataset)
    resize = resize_mode(section, size)
    if form == "folder" and not name:
        raise UserError("folder: needs a path, as in folder:photos")
    with phases.phase(f"listing {short_name(section.dataset)}"):
        listing = importlib.import_module(FORMS[form].module).listing(section, size, resize, room)
    return listing, size, resize


def __getattr__(name: str) -> object:
    if name in ("Split", "Splits"):
        return getattr(importlib.import_module("kerascnn.data.splits"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
