"""Prepared data sets of TensorFlow Datasets: names, versions, folders. No TensorFlow."""

import difflib
import os
import re
from pathlib import Path
from typing import NamedTuple

from kerascnn.cli.escaping import expanded
from kerascnn.errors import UserError

SPEC = re.compile(
    r"(?P<name>\w+)(/(?P<config>[\w.+-]*[A-Za-z_][\w.+-]*))?([/:](?P<version>\d+\.\d+\.\d+))?(\[(?P<slice>[^\]]*:[^\]]*)\])?"
)


class Spec(NamedTuple):
    """NAME[/CONFIG][:VERSION][[SLICE]], such as cifar10, cifar10:3.0.2 or cifar10[:10%] (of each split)."""

    name: str
    config: str | None
    version: str | None
    slice: str | None


def folder(data_dir: str | None) -> Path:
    """Returns the folder of all prepared data sets."""
    return expanded(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")


def parse(dataset: str) -> Spec:
    """Returns the parts of tfds:NAME[/CONFIG][:VERSION][[SLICE]].

    Raises:
        UserError: The name does not have this form.
    """
    match = SPEC.fullmatch(dataset.removeprefix("tfds:"))
    if match is None:
        raise UserError(
            f"expected tfds:NAME[/CONFIG][:VERSION][[SLICE]], such as tfds:cifar10 or tfds:cifar10[:10%], got {dataset!r}"
        )
    return Spec(**{name: match.group(name) for name in Spec._fields})


def find(spec: Spec, home: Path) -> Path:
    """Returns the directory of the newest prepared version of a data set below `home`.

    Raises:
        UserError: There is none, or it has several configs and the name has none.
    """
    prepared = [
        folder.parent
        for folder in [*home.glob(f"{spec.name}/*/features.json"), *home.glob(f"{spec.name}/*/*/features.json")]
        if (folder.parent / "dataset_info.json").is_file()
    ]
    fitting = [
        path for path in prepared if spec.version in (None, path.name) and spec.config in (None, path.parent.name)
    ]
    if not fitting:
        raise UserError(_not_prepared(spec, home, prepared))
    configs = {path.parent for path in fitting}
    if len(configs) > 1:
        names = ", ".join(sorted(path.name for path in configs))
        raise UserError(
            f"tfds:{spec.name} is prepared in several configs ({names}): name one, such as tfds:{spec.name}/CONFIG"
        )
    return max(fitting, key=lambda path: [int(part) if part.isdecimal() else 0 for part in path.name.split(".")])


def _not_prepared(spec: Spec, home: Path, prepared: list[Path]) -> str:
    if prepared:
        there = ", ".join(str(path.relative_to(home)) for path in sorted(prepared))
        return f"tfds:{spec.name} is only prepared as {there} in {home}"
    names = (
        sorted(path.name for path in home.iterdir() if any(path.glob("**/dataset_info.json"))) if home.is_dir() else []
    )
    near = difflib.get_close_matches(spec.name, names, 3, 0.5) or names[:5]
    found = f"; prepared there: {', '.join(near)}" if near else ""
    return (
        f"no prepared data set {spec.name!r} in {home}{found}. "
        "--data-dir DIR names another place, --download lets TensorFlow Datasets fetch it"
    )
