"""The same images through every source: equal splits, and equal batches for two epochs, bit for bit."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from kerascnn import data, training
from kerascnn.config import Config
from kerascnn.data import pipeline
from kerascnn.runs import default_name
from tests.data import make_shards

pytestmark = pytest.mark.training
EMBEDDED = Path(data.__file__).parent / "fashion_mnist_mini/fashion_mnist_mini.npz"
Made = tuple[str, dict]  # --dataset and other options


def found(root: Path) -> list[tuple[str, str]]:
    """(name, label) of all images."""
    return [(path.relative_to(root).as_posix(), path.parent.name) for path in sorted(root.glob("*/*.*"))]


def folder(root: Path, place: Path) -> Made:
    return str(root), {}


def csv(root: Path, place: Path) -> Made:
    table = root / "photos.csv"
    table.write_text("\n".join(["path,label", *(",".join(row) for row in found(root))]))
    return str(table), {}


def parquet_paths(root: Path, place: Path) -> Made:
    names, labels = zip(*found(root), strict=True)
    pq.write_table(
        pa.table({"file_name": [str(root / name) for name in names], "label": labels}), place / "paths.parquet"
    )
    shutil.move(place / "paths.parquet", root)
    return str(root / "paths.parquet"), {}


def parquet_bytes(root: Path, place: Path, compression: str = "none") -> Made:
    rows = [{"bytes": (root / name).read_bytes(), "path": name} for name, _ in found(root)]
    table = pa.table({"image": rows, "label": [label for _, label in found(root)]})
    pq.write_table(table, place / "photos.parquet", compression=compression, row_group_size=7)
    return str(place / "photos.parquet"), {}


def parquet_compressed(root: Path, place: Path) -> Made:
    return parquet_bytes(root, place, "zstd")


def json_lines(root: Path, place: Path) -> Made:
    rows = [{"label": label, "image": str(root / name)} for name, label in found(root)][::-1]
    (root / "photos.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return str(root / "photos.jsonl"), {"class_names": sorted({label for _, label in found(root)})}


def tar(root: Path, place: Path) -> Made:
    rows = make_shards.rows_of(root)
    for part in range(3):
        make_shards.tar(place / f"photos-{part:03d}.tar", rows[part::3], "cls" if part else "json")
    return f"wds:{place}/photos-{{000..002}}.tar", {}


def tar_compressed(root: Path, place: Path) -> Made:
    return f"wds:{make_shards.tar(place / 'photos.tar.gz', make_shards.rows_of(root), mode='w:gz')}", {}


def tfrecord(root: Path, place: Path) -> Made:
    rows = make_shards.rows_of(root)
    names = sorted({label for _, _, label in rows})
    for part in range(2):
        some = [(name, content, (names.index(label), label)) for name, content, label in rows[part::2]]
        make_shards.tfrecord(place / f"photos-{part}.tfrecord", some)
    return f"tfrecord:{place}/*.tfrecord", {}


def tfrecord_numbers(root: Path, place: Path) -> Made:
    rows = make_shards.rows_of(root)
    names = sorted({label for _, _, label in rows})
    some = [(name, content, names.index(label)) for name, content, label in rows]
    path = make_shards.tfrecord(place / "photos.tfrecord.gz", some, "GZIP")
    return f"tfrecord:{path}", {"class_names": names}


def hugging_face(root: Path, place: Path) -> Made:
    rows = make_shards.rows_of(root)
    names = sorted({label for _, _, label in rows})
    image, label, name = datasets.Image(), datasets.ClassLabel(names=names), datasets.Value("string")
    features = datasets.Features({"image": image, "label": label, "file_name": name})
    ids, contents, labels = zip(*rows, strict=True)
    images = [{"bytes": content, "path": name} for name, content in zip(ids, contents, strict=True)]
    made = datasets.Dataset.from_dict(
        {"image": images, "label": list(labels), "file_name": list(ids)}, features=features
    )
    made.save_to_disk(str(place / "saved"))
    return f"hf:{place / 'saved'}", {}


def arrays(root: Path, place: Path, save: Callable[..., None] = np.savez) -> Made:
    rows = make_shards.rows_of(root)
    images = [np.asarray(Image.open(root / name)) for name, _, _ in rows]
    if len({image.shape for image in images}) > 1:
        pytest.skip("arrays hold images of one size")
    ids, _, labels = zip(*rows, strict=True)
    save(place / "photos.npz", images=np.stack(images), labels=np.array(labels), ids=np.array(ids))
    return f"npz:{place / 'photos.npz'}", {}


def arrays_compressed(root: Path, place: Path) -> Made:
    return arrays(root, place, np.savez_compressed)


# Each writes the images of a folder as another source: one more source is one more function.
SOURCES: tuple[Callable[[Path, Path], Made], ...] = (
    csv, parquet_paths, parquet_bytes, parquet_compressed, json_lines, tar, tfrecord, hugging_face, arrays,
)  # fmt: skip


VARIANTS = (tar_compressed, tfrecord_numbers, arrays_compressed)


@pytest.fixture(scope="module", params=["fashion_mnist_mini", "hymenoptera"])
def images(request, tmp_path_factory) -> Path:
    """A few images in a folder of class folders."""
    root = tmp_path_factory.mktemp("images") / "photos"
    if request.param == "hymenoptera":
        theirs = request.getfixturevalue("real_data") / "hymenoptera/train"
        for label in ("ants", "bees"):
            (root / label).mkdir(parents=True)
            for path in sorted((theirs / label).iterdir())[:16]:
                shutil.copy(path, root / label)
        return root
    with np.load(EMBEDDED) as arrays:
        for label in range(3):
            (root / f"class{label}").mkdir(parents=True)
            for place, pixels in enumerate(arrays["x_train"][arrays["y_train"] == label][:16]):
                Image.fromarray(pixels).save(root / f"class{label}" / f"{place}.png")
    return root


class Seen(NamedTuple):
    """What training sees of a source."""

    splits: data.Splits
    batches: list[tuple[np.ndarray, ...]]
    name: str


def seen_by_training(runs: Path, made: Made) -> Seen:
    """The batches of about two epochs, from which equal weights follow: training is a function of them."""
    dataset, options = made
    config = Config(data={"dataset": dataset, "image_size": 32, **options})
    splits = data.load(config.data, data.Room(runs))
    batches = pipeline.training(splits, augment=config.augment, seed=0, batch_size=8)
    resolved = training.resolve(config, splits)
    return Seen(
        splits,
        list(batches.take(8).as_numpy_iterator()),
        default_name(resolved, splits.fingerprint, "photos"),
    )


@pytest.fixture(scope="module")
def expected(images, tmp_path_factory) -> Seen:
    """What the folder gives."""
    return seen_by_training(tmp_path_factory.mktemp("expected"), folder(images, images))


@pytest.mark.parametrize(
    "source",
    [*SOURCES, *(pytest.param(source, marks=pytest.mark.slow) for source in VARIANTS)],
    ids=lambda source: source.__name__,
)
def test_a_source(source, images, expected, tmp_path) -> None:
    root = shutil.copytree(images, tmp_path / "images" / "photos")
    seen = seen_by_training(tmp_path / "runs", source(root, tmp_path))
    if source not in (arrays, arrays_compressed):  # whose content is pixels, not files
        assert seen.splits.fingerprint == expected.splits.fingerprint
        assert seen.name == expected.name
    assert seen.splits.rows() == expected.splits.rows()
    for batch, other in zip(seen.batches, expected.batches, strict=True):
        for mine, theirs in zip(batch, other, strict=True):
            np.testing.assert_array_equal(mine, theirs)
