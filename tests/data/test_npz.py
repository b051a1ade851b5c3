"""Arrays in .npz files: names, labels and splits as people have them, and what is refused with one clear message."""

import io
import pickle
import zipfile

import numpy as np
import pytest

from kerascnn import data
from kerascnn.config import Data
from kerascnn.data import npz
from kerascnn.data.npz import PixelsInFile
from kerascnn.errors import UserError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 255, (40, 28, 28), "uint8")
RGB = RNG.integers(0, 255, (40, 9, 12, 3), "uint8")
LABELS = np.arange(40) % 4


def load(path, **options) -> data.Splits:
    return data.load(Data(dataset=f"npz:{path}", cache="off", **options))


def source(path, **options):
    return npz.listing(Data(dataset=f"npz:{path}", **options), 32, "squash", data.Room()).source


@pytest.fixture
def file(tmp_path):
    return tmp_path / "digits.npz"


def test_splits_by_their_usual_names(file):
    np.savez_compressed(file, x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:8], y_test=LABELS[:8, None])
    splits = load(file)
    assert (splits.name, splits.image_size, splits.class_names) == ("digits", 32, ("0", "1", "2", "3"))
    assert [len(part) for part in splits.parts()][2] == 8
    assert splits.test.ids()[3] == "test/3"
    image = splits.test.source.fetch(splits.test.indices[:1]).numpy()[0]
    np.testing.assert_array_equal(image[2:30, 2:30, 0], IMAGES[0])


@pytest.mark.parametrize(
    "names", [("images", "labels"), ("x", "y"), ("X", "y"), ("train_images", "train_labels"), ("data", "labels")]
)
def test_usual_names(file, names):
    np.savez(file, **{names[0]: RGB[..., None] if RGB.ndim == 3 else RGB, names[1]: LABELS})
    assert sum(len(part) for part in load(file).parts()) == 40


def test_names_ids_and_splits_in_the_file(file):
    ids = np.array([f"a/{i}.png" for i in range(40)])
    split = np.array(["train", "val", "test", "train"] * 10)
    np.savez(file, images=RGB, labels=LABELS % 2, ids=ids, class_names=np.array(["ant", "bee"]), split=split, notes=RGB)
    splits = load(file)
    assert splits.class_names == ("ant", "bee")
    assert splits.test.ids()[0] == "a/2.png"
    assert [len(part) for part in splits.parts()] == [20, 10, 10]
    assert "not used: the arrays notes" in splits.notes


@pytest.mark.parametrize(
    ("labels", "classes", "several"),
    [
        (np.array(["b", "a"] * 20), ("a", "b"), False),
        (np.eye(4, dtype=int)[LABELS], ("0", "1", "2", "3"), False),
        (np.array([[1, 1, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]] * 10), ("0", "1", "2"), True),
        (np.where(np.arange(40) == 7, -1, LABELS), ("0", "1", "2", "3"), False),
    ],
)
def test_labels(file, labels, classes, several):
    np.savez(file, images=IMAGES, labels=labels)
    found = source(file)
    assert (found.class_names, found.several) == (classes, several)
    if several:
        np.testing.assert_array_equal(found.labels, labels)
    elif labels.ndim == 1 and labels.dtype.kind == "i":
        assert len(found) == 39
        np.testing.assert_array_equal(found.fetch(np.array([7])).numpy()[0, 2:30, 2:30, 0], IMAGES[8])


def test_the_fingerprint_is_the_content(file, tmp_path):
    np.savez(file, images=IMAGES, labels=LABELS)
    np.savez_compressed(tmp_path / "packed.npz", images=IMAGES[..., None], labels=LABELS.astype("uint8"))
    one, other = load(file), load(tmp_path / "packed.npz")
    assert one.fingerprint == other.fingerprint
    changed = IMAGES.copy()
    changed[3, 4, 5] ^= 1
    np.savez(file, images=changed, labels=LABELS)
    assert load(file).fingerprint != one.fingerprint


def test_what_does_not_fit_into_memory_is_read_from_the_file(file, tmp_path, monkeypatch):
    np.savez(file, x_train=RGB, y_train=LABELS, x_test=RGB[:6], y_test=LABELS[:6])
    inside = source(file)
    monkeypatch.setattr(npz, "free_memory", lambda: 4000)
    monkeypatch.setattr("kerascnn.data.record_index.SETTLED_NS", 0)
    outside = npz.listing(Data(dataset=f"npz:{file}"), 32, "squash", data.Room(tmp_path))
    assert isinstance(outside.source, PixelsInFile)
    at = np.array([3, 45, 0])
    np.testing.assert_array_equal(outside.source.fetch(at), inside.fetch(at))
    again = npz.listing(Data(dataset=f"npz:{file}"), 32, "squash", data.Room(tmp_path))
    assert again.fingerprint == outside.fingerprint
    np.savez_compressed(file, images=RGB, labels=LABELS)
    with pytest.raises(UserError, match=r"it is compressed, .*numpy.savez instead of savez_compressed"):
        source(file)
    with file.open("ab") as opened:
        opened.write(b"x")
    with pytest.raises(UserError, match="changed while it was in use"):
        outside.source.read(at)
    assert isinstance(outside.source.ended_by, UserError)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": IMAGES / 255, "labels": LABELS}, r"expected uint8 from 0 to 255, got float64: \(images \* 255\)"),
        ({"images": RGB.transpose(0, 3, 1, 2).copy(), "labels": LABELS}, r"transpose\(0, 2, 3, 1\)"),
        ({"images": np.asfortranarray(RGB), "labels": LABELS}, "in Fortran order"),
        ({"images": IMAGES, "labels": LABELS[:30]}, r"has 40 images and labels \[30\]"),
        ({"images": IMAGES, "labels": LABELS / 2}, "expected whole numbers or texts, got float64"),
        ({"pictures": IMAGES}, "has no arrays with usual names: expected images and labels.*it has pictures"),
        ({"images": IMAGES, "labels": LABELS, "ids": np.array(["a"] * 40)}, "its ids: expected 40, each once"),
        ({"images": IMAGES, "labels": np.array([[0, 2]] * 40)}, "expected 0 or 1 in each column"),
        ({"images": IMAGES, "labels": LABELS, "class_names": np.array(["a"])}, "1 names, and a label is 3"),
        ({"images": IMAGES, "labels": np.array([str, 4] * 20, object)}, r"labels is pickled.*never read"),
    ],
)
def test_what_is_refused(file, arrays, message):
    np.savez(file, **arrays)
    with pytest.raises(UserError, match=rf"digits.npz.*{message}|^--class-names.*{message}"):
        load(file)


def test_files_that_are_no_arrays(file, tmp_path):
    with pytest.raises(data.Missing, match=r"there is no .*digits.npz"):
        load(file)
    for content in (b"", b"hello", pickle.dumps([1]), np.lib.format.magic(1, 0)):
        file.write_bytes(content)
        with pytest.raises(UserError, match=r"is no \.npz file"):
            load(file)
    np.savez(file, images=IMAGES, labels=LABELS)
    whole = file.read_bytes()
    file.write_bytes(whole[:20000] + bytes([whole[20000] ^ 1]) + whole[20001:])
    with pytest.raises(UserError, match="is damaged: images"):
        load(file)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**9, 28, 28)})
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("images.npy", header.getvalue())
    with pytest.raises(UserError, match="which are not those of its shape"):
        load(file)
