"""Checks that a data set exists, before anything is read. No TensorFlow."""

import difflib
from pathlib import Path

from kerascnn.cli.escaping import expanded, resolved
from kerascnn.config import Data
from kerascnn.config.addresses import is_remote
from kerascnn.data import FORMS, PATHS, PATTERNS, parse, prepared, shard_names
from kerascnn.data.room import Missing
from kerascnn.errors import UserError
from kerascnn.runs.files import nearest_path


def check(section: Data) -> None:
    """Checks that a data set exists.

    Raises:
        UserError: It does not; the message names the most similar folder or data set.
    """
    form, name = parse(section.dataset)
    if form in PATHS and is_remote(name):
        from kerascnn.data import remote

        if form in PATTERNS:
            remote.matched(form, name)
        else:
            remote.check(name)
    elif form == "folder" and name:
        folder(section.dataset)
    elif form == "table" and name:
        table(section.dataset)
    elif form in PATTERNS and name:
        shard_names.matched(form, name)
    elif form == "npz" and name:
        npz(section.dataset)
    elif form == "tfds":
        spec = prepared.parse(section.dataset)
        if not section.download:
            prepared.find(spec, prepared.folder(section.data_dir))


def folder(dataset: str) -> Path:
    """Returns the folder of a data set.

    Raises:
        UserError: It is missing, or is a file.
    """
    root = expanded(dataset.removeprefix("folder:"))
    if not root.exists():
        # Of two forms that know a name, the first one is named.
        known = {name: f"{form}:{name}".lstrip(":") for form, row in reversed(FORMS.items()) for name in row.sizes}
        near = difflib.get_close_matches(dataset, known, 1, 0.8)
        hint = nearest_path(root) or (f" - perhaps you meant {known[near[0]]!r}" if near else "")
        raise Missing(
            f"no data set called {dataset!r}: expected fashion_mnist_mini (embedded), tfds:NAME or a folder or table, and"
            f" there is no {resolved(root)}{hint}"
        )
    if not root.is_dir():
        raise UserError(
            f"{root} is a file: expected a folder with one folder of images per class (unpack an archive first)"
        )
    return resolved(root)


def table(dataset: str) -> Path:
    """Returns the path of a table.

    Raises:
        UserError: It is missing, or is a folder.
    """
    path = expanded(dataset.removeprefix("table:"))
    if not path.exists():
        raise Missing(f"there is no table {resolved(path)}{nearest_path(path)}")
    if not path.is_file():
        raise UserError(f"{path} is not a file: expected a table (CSV, TSV, JSON lines or Parquet)")
    return resolved(path)


def npz(dataset: str) -> Path:
    """Returns the path of a file of arrays.

    Raises:
        UserError: It is missing, or is a folder.
    """
    path = expanded(dataset.removeprefix("npz:"))
    if not path.exists():
        raise Missing(f"there is no {resolved(path)}{nearest_path(path)}")
    if not path.is_file():
        raise UserError(f"{path} is not a file: expected arrays that numpy.savez wrote")
    return resolved(path)
