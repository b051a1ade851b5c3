"""Data sets of Hugging Face's library: saved to disk, folders of images, Parquet as on the hub; never the network."""

import socket
import sys

import numpy as np
import pytest

from kerascnn import data
from kerascnn.config import Data
from kerascnn.data import hf
from kerascnn.errors import UserError
from tests.data.make_shards import jpeg, some

datasets = pytest.importorskip("datasets")
NAMES = ["ant", "bee"]


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network is used")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def load(dataset, tmp_path, **options) -> data.Splits:
    section = Data(dataset=f"hf:{dataset}", image_size=8, cache="off", data_dir=str(tmp_path / "cache"), **options)
    return data.load(section, data.Room(tmp_path / "runs"))


def made(rows, label=None, **more):
    """A data set of rows (name, content, label) of make_shards."""
    features = datasets.Features(
        {"picture": datasets.Image(), "label": label or datasets.ClassLabel(names=NAMES)}
        | {k: v[0] for k, v in more.items()}
    )
    columns = {
        "picture": [{"bytes": content, "path": name} for name, content, _ in rows],
        "label": [row[2] for row in rows],
    }
    return datasets.Dataset.from_dict(columns | {key: value[1] for key, value in more.items()}, features=features)


@pytest.fixture
def saved(tmp_path):
    parts = {"train": made(some(40)), "validation": made(some(10, start=40)), "test": made(some(10, start=50))}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "insects"))
    return tmp_path / "insects"


def test_a_data_set_saved_to_disk(saved, tmp_path, monkeypatch):
    splits = load(saved, tmp_path)
    assert (splits.name, splits.class_names) == ("insects", ("ant", "bee"))
    assert [len(part) for part in splits.parts()] == [40, 10, 10]
    assert splits.test.ids()[3] == "0053.jpg"
    assert splits.train.source.get(int(splits.test.indices[3])) == jpeg(53)
    assert splits.test.labels[3] == 1
    monkeypatch.setattr("kerascnn.data.record_index.SETTLED_NS", 0)
    load(saved, tmp_path)
    monkeypatch.setattr(hf, "learned", None)
    assert load(saved, tmp_path).fingerprint == splits.fingerprint


def test_a_shuffled_data_set_keeps_its_rows(tmp_path):
    made(some(40)).shuffle(seed=3).select(range(30)).save_to_disk(str(tmp_path / "some"))
    splits = load(tmp_path / "some", tmp_path)
    source = splits.train.source
    assert [source.get(i) for i in range(30)] == [jpeg(int(name[:4])) for name in source.ids]


def test_parquet_as_on_the_hub(saved, tmp_path):
    folder = tmp_path / "parquet" / "data"
    folder.mkdir(parents=True)
    for split, part in datasets.load_from_disk(str(saved)).items():
        part.to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))
    splits = load(folder.parent, tmp_path)
    assert splits.fingerprint == load(saved, tmp_path).fingerprint
    assert splits.train.source.get(3) == jpeg(3)


def test_a_folder_of_images(tmp_path):
    for name, content, label in some(40):
        path = tmp_path / "photos" / "train" / label / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    splits = load(tmp_path / "photos", tmp_path)
    assert splits.class_names == ("ant", "bee")
    assert "train/ant/0004.jpg" in [path for path, _, _ in splits.rows()]
    assert splits.train.source.get(0) == jpeg(int(splits.train.source.ids[0][-8:-4]))


def test_several_labels_and_other_columns(tmp_path):
    value = datasets.Sequence(datasets.ClassLabel(names=[*NAMES, "cat"]))
    rows = some(30, ([0, 2], [], [1]))
    made(rows, value, kind=(datasets.Value("string"), ["x", "y", "z"] * 10)).save_to_disk(str(tmp_path / "a"))
    section = Data(dataset=f"hf:{tmp_path / 'a'}")
    source = hf.listing(section, 8, "squash", data.Room()).source
    assert source.several
    assert source.labels.sum(axis=0).tolist() == [10, 10, 10]
    assert load(tmp_path / "a", tmp_path, label_column=("kind",)).class_names == ("x", "y", "z")
    with pytest.raises(UserError, match=r"--label-column kin: there is no such column - perhaps you meant 'kind'"):
        load(tmp_path / "a", tmp_path, label_column=("kin",))
    with pytest.raises(UserError, match=r"column 'kind' holds no images, but string"):
        load(tmp_path / "a", tmp_path, image_column="kind")


def test_unlabelled_and_damaged_images(tmp_path):
    rows = [(name, content, NAMES.index(label)) for name, content, label in some(200)]
    rows[3], rows[7] = (rows[3][0], rows[3][1], -1), (rows[7][0], b"no image", rows[7][2])
    made(rows).save_to_disk(str(tmp_path / "a"))
    splits = load(tmp_path / "a", tmp_path)
    assert sum(len(part) for part in splits.parts()) == 198
    assert [name for name, _ in splits.skipped] == ["0007.jpg"]
    assert any("1 images without a label" in note for note in splits.notes)


def test_names_that_are_not_there_are_one_message(tmp_path, monkeypatch):
    with pytest.raises(data.Missing, match=r"has not fetched 'someone/photos' before: --download lets it"):
        load("someone/photos", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty cannot be read as a data set"):
        load(tmp_path / "empty", tmp_path)
    with pytest.raises(UserError, match="hf: needs a folder or a name"):
        load("", tmp_path)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"pip install 'kerascnn\[datasets\]'"):
        load("someone/photos", tmp_path)


def test_the_size_of_small_images_is_known():
    assert data.default_image_size("hf:ylecun/mnist") == 32
    assert data.default_image_size("hf:uoft-cs/cifar10:plain_text@main") == 32
    assert data.default_image_size("hf:food101") == 224
    assert data.short_name("hf:ylecun/mnist") == "ylecun_mnist"
    assert np.isscalar(data.default_image_size("npz:nowhere.npz"))
