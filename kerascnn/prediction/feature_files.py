"""Files of features: Parquet in bounded memory, NumPy, and the folder of TensorBoard's projector."""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from kerascnn.errors import UserError
from kerascnn.runs import files

NETWORK = b"kerascnn.network"  # key of the schema's metadata: sha256 of the file of the network
ROWS = 1024  # rows of a row group
PATHS = ".paths.txt"  # beside a .npy file: the image of each row
SUFFIXES = (".parquet", ".npy")
SIDE, SPRITE = 48, 8192  # pixels: a thumbnail of the projector, and the largest picture that it loads


class Features(NamedTuple):
    """Images and their features.

    Attributes:
        paths: Paths as they were named.
        values: float32 [n, channels].
    """

    paths: Sequence[str]
    values: np.ndarray


def fingerprint(network: Path) -> str:
    """Returns the sha256 of the file of a network, which says whether two files of features can be compared."""
    return hashlib.sha256(network.read_bytes()).hexdigest()


def write_parquet(path: Path, parts: Iterable[Features], network: str) -> int:
    """Writes the columns `path` and `features`, a list of float32 of a fixed length; returns the number of rows.

    Args:
        path: The file, which appears once it is whole.
        parts: Rows in parts; only one is in memory.
        network: `fingerprint` of the network.

    Raises:
        UserError: There are no rows.
    """
    count = 0
    with files.beside(path) as aside:
        writer: pq.ParquetWriter | None = None
        try:
            for part in parts:
                table = _table(part, network)
                writer = writer or pq.ParquetWriter(aside, table.schema)
                writer.write_table(table)
                count += len(part.paths)
        finally:
            if writer is not None:
                writer.close()
        if not count:
            raise UserError(f"there is nothing to write to {path}: no image could be used")
        files.sync(aside)
    return count


def _table(part: Features, network: str) -> pa.Table:
    channels = part.values.shape[1]
    flat = pa.array(part.values.astype(np.float32).ravel())
    columns = {"path": pa.array(list(part.paths)), "features": pa.FixedSizeListArray.from_arrays(flat, channels)}
    return pa.table(columns).replace_schema_metadata({NETWORK: network.encode()})


def write_npy(path: Path, parts: Iterable[Features], network: str) -> int:
    """Writes float32 [n, channels], and beside it the paths, a line each after one with `network`; returns n.

    Raises:
        UserError: There are no rows.
    """
    whole = list(parts)
    if not whole:
        raise UserError(f"there is nothing to write to {path}: no image could be used")
    paths = [name for part in whole for name in part.paths]
    lines = "".join(json.dumps(line) + "\n" for line in (network, *paths))
    files.write_file(Path(f"{path}{PATHS}"), lines.encode())
    with files.beside(path) as aside:
        with aside.open("wb") as file:
            np.save(file, np.concatenate([part.values for part in whole]).astype(np.float32))
        files.sync(aside)
    return len(paths)


def read(path: Path, network: str) -> Iterator[Features]:
    """Yields the rows of a file that `kerascnn embed` wrote, in parts.

    Raises:
        UserError: It is no such file, or its features are those of another network than `network`.
    """
    try:
        if path.suffix == ".npy":
            kept, *paths = [
                json.loads(line) for line in Path(f"{path}{PATHS}").read_text(encoding="utf-8").splitlines()
            ]
            values = np.load(path, mmap_mode="r", allow_pickle=False)
            parts: Iterator[Features] = iter([Features(paths, np.asarray(values, np.float32))])
        else:
            file = pq.ParquetFile(path)
            kept = (file.schema_arrow.metadata or {}).get(NETWORK, b"").decode()
            parts = (_features(batch) for batch in file.iter_batches(ROWS, columns=["path", "features"]))
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise UserError(f"{path} is no file of kerascnn embed: {' '.join(str(error).split())[:200]}") from error
    if kept != network:
        raise UserError(f"{path} has the features of another network: kerascnn embed writes those of this one")
    yield from parts


def _features(batch: pa.RecordBatch) -> Features:
    values = batch.column("features")
    return Features(batch.column("path").to_pylist(), values.flatten().to_numpy().reshape(len(values), -1))


def write_projector(folder: Path, found: Features, thumbnails: np.ndarray) -> None:
    """Writes what TensorBoard's projector shows: tensors, names, and thumbnails in one picture.

    Args:
        folder: `tensorboard --logdir` of it opens the projector.
        found: The features of n images.
        thumbnails: uint8 [n, SIDE, SIDE, 3].

    Raises:
        UserError: There are more images than the projector's picture holds.
    """
    per_row = max(1, math.ceil(math.sqrt(len(found.paths))))
    if per_row * SIDE > SPRITE:
        most = (SPRITE // SIDE) ** 2
        raise UserError(f"--projector: {len(found.paths)} images are more than the {most} that TensorBoard can show")
    sprite = np.full((per_row * SIDE, per_row * SIDE, 3), 255, np.uint8)
    for place, image in enumerate(thumbnails):
        row, column = divmod(place, per_row)
        sprite[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE] = image
    files.make_output(folder)
    with files.beside(folder / "sprite.png") as aside:
        Image.fromarray(sprite).save(aside, "PNG")
    lines = ("\t".join(f"{value:.6g}" for value in row) for row in found.values)
    files.write_file(folder / "features.tsv", ("\n".join(lines) + "\n").encode())
    names = (name.encode("unicode_escape").decode() for name in found.paths)  # a tab or a line end would move the rows
    files.write_file(folder / "images.tsv", ("\n".join(names) + "\n").encode())
    config = (
        'embeddings {\n  tensor_name: "features"\n  tensor_path: "features.tsv"\n  metadata_path: "images.tsv"\n'
        f'  sprite {{\n    image_path: "sprite.png"\n    single_image_dim: {SIDE}\n    single_image_dim: {SIDE}\n  }}\n}}\n'
    )
    files.write_file(folder / "projector_config.pbtxt", config.encode())
