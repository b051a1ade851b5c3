"""TensorFlow Datasets, offline: small ones are prepared here with its own writer; the real CIFAR-10 beside the checkout."""

import numpy as np
import pytest
import tensorflow as tf

from kerascnn import data
from kerascnn.config import Augment, Data
from kerascnn.data import pipeline, tfds
from kerascnn.data.sources import Buffers, Pixels
from kerascnn.errors import UserError

pytestmark = pytest.mark.training


def prepare(home, name, splits, *, shape=(20, 20, 3), version="1.0.0", config=None, classes=("ant", "bee")):
    """Write a data set of (image, label) rows per split, as TFDS would have prepared it."""
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=shape), "label": tfds.features.ClassLabel(names=list(classes))}
    )
    folder = home / name / (config or "") / version
    folder.mkdir(parents=True)
    infos = []
    for split, rows in splits.items():
        path = folder / f"{name}-{split}.tfrecord-00000-of-00001"
        encoded = [features.serialize_example(features.encode_example({"image": i, "label": k})) for i, k in rows]
        with tf.io.TFRecordWriter(str(path)) as writer:
            for row in encoded:
                writer.write(row)
        infos.append(
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=[len(rows)],
                num_bytes=sum(map(len, encoded)),
                filename_template=tfds.core.ShardedFileTemplate(
                    folder, dataset_name=name, split=split, filetype_suffix="tfrecord"
                ),
            )
        )
    tfds.folder_dataset.write_metadata(
        data_dir=str(folder), features=features, split_infos=infos, supervised_keys=("image", "label")
    )


def rows(count, side=20, labels=(0, 1)):
    rng = np.random.default_rng(count)
    return [
        (rng.integers(0, 256, (side + (i % 3 if side > 20 else 0), side, 3), dtype="uint8"), labels[i % len(labels)])
        for i in range(count)
    ]


def load(dataset, home, **options):
    return data.load(Data(dataset=dataset, data_dir=str(home), **options))


def test_small_images_of_one_size_become_a_table(tmp_path):
    train = rows(60)
    prepare(tmp_path, "insects", {"train": train, "test": rows(20)})
    splits = load("tfds:insects", tmp_path, image_size=20)
    assert isinstance(splits.train.source, Pixels)
    assert (len(splits.train) + len(splits.val), len(splits.test)) == (60, 20)
    assert splits.class_names == ("ant", "bee")
    place = int(splits.train.ids()[5].removeprefix("train/"))
    np.testing.assert_array_equal(splits.train.source.fetch(splits.train.indices[5:6])[0], train[place][0])
    assert splits.train.labels[5] == train[place][1]


@pytest.mark.parametrize("shape", [(20, 20, 3), (None, None, 3)], ids=["table", "encoded"])
def test_the_fingerprint_is_the_images_not_the_name_and_their_number(tmp_path, shape):
    """A data set that was prepared anew under the same name and version, with other images or labels."""
    found = set()
    for number, change in enumerate((lambda *_: None, _one_pixel, _labels_swapped)):
        home, train = tmp_path / str(number), rows(40)
        change(train)
        prepare(home, "insects", {"train": train}, shape=shape)
        splits = load("tfds:insects", home, image_size=20 if shape[0] else 72)
        found.add(splits.fingerprint)
        former = splits.former.fingerprint
    assert len(found) == 3
    assert former == load("tfds:insects", tmp_path / "0").former.fingerprint


def _one_pixel(train):
    train[7][0][3, 4, 0] ^= 1


def _labels_swapped(train):
    train[0], train[1] = (train[0][0], train[1][1]), (train[1][0], train[0][1])


def test_images_of_many_sizes_stay_encoded(tmp_path):
    prepare(tmp_path, "photos", {"train": rows(60, side=90)}, shape=(None, None, 3))
    splits = load("tfds:photos", tmp_path, image_size=72)
    assert isinstance(splits.train.source, Buffers)
    assert len(splits.test) > 0
    images, _, weights = next(iter(pipeline.training(splits, augment=Augment(), seed=0, batch_size=8)))
    assert images.shape == (8, 72, 72, 3)
    np.testing.assert_array_equal(weights, 1)


def test_a_slice_is_of_every_split_and_keeps_the_names(tmp_path):
    prepare(tmp_path, "insects", {"train": rows(100), "test": rows(40)})
    whole, tail = load("tfds:insects", tmp_path, image_size=20), load("tfds:insects[50%:]", tmp_path, image_size=20)
    assert (len(tail.train) + len(tail.val), len(tail.test)) == (50, 20)
    assert {row[:2] for row in tail.rows()} <= {row[:2] for row in whole.rows()}
    assert tail.fingerprint != whole.fingerprint
    with pytest.raises(UserError, match="cannot slice"):
        load("tfds:insects[a:b]", tmp_path)


def test_labels_that_are_all_minus_1_are_no_split(tmp_path):
    prepare(tmp_path, "insects", {"train": rows(100), "test": rows(40, labels=(-1,))})
    splits = load("tfds:insects", tmp_path, image_size=20)
    assert sum(len(split) for split in splits.parts()) == 100
    assert len(splits.test)
    assert any("40 images of test without a label" in note for note in splits.notes)


def test_other_splits_are_not_used(tmp_path):
    prepare(tmp_path, "insects", {"train": rows(100), "test": rows(40), "extra": rows(50)})
    splits = load("tfds:insects", tmp_path, image_size=20)
    assert sum(len(split) for split in splits.parts()) == 140
    assert any("the splits extra" in note for note in splits.notes)


def test_versions_and_configs(tmp_path):
    for version in ("1.9.0", "1.10.0"):
        prepare(tmp_path, "insects", {"train": rows(20)}, version=version)
    assert tfds.find(tfds.parse("tfds:insects"), tmp_path).name == "1.10.0"
    assert tfds.find(tfds.parse("tfds:insects:1.9.0"), tmp_path).name == "1.9.0"
    with pytest.raises(UserError, match=r"is only prepared as insects/1.10.0, insects/1.9.0 in "):
        tfds.find(tfds.parse("tfds:insects:2.0.0"), tmp_path)
    for config in ("small", "large"):
        prepare(tmp_path, "birds", {"train": rows(20)}, config=config)
    assert tfds.find(tfds.parse("tfds:birds/small"), tmp_path).parent.name == "small"
    with pytest.raises(UserError, match=r"several configs \(large, small\): name one"):
        tfds.find(tfds.parse("tfds:birds"), tmp_path)


def test_what_is_not_prepared_names_what_is(tmp_path):
    prepare(tmp_path, "insects", {"train": rows(4)})
    with pytest.raises(
        UserError, match=r"no prepared data set 'insect' in .*; prepared there: insects.*--data-dir.*--download"
    ):
        load("tfds:insect", tmp_path)
    with pytest.raises(UserError, match="expected tfds:NAME"):
        load("tfds:", tmp_path)
    with pytest.raises(UserError, match=r"in .*nowhere"):
        load("tfds:insects", tmp_path / "nowhere")


def test_what_does_not_fit_into_memory_is_refused(tmp_path, monkeypatch):
    prepare(tmp_path, "insects", {"train": rows(100)})
    monkeypatch.setattr(tfds, "free_memory", lambda: 4 * 100 * 20 * 20 * 3 - 1)
    with pytest.raises(UserError, match=r"a quarter of the free memory is .*: take a slice, such as tfds:NAME"):
        load("tfds:insects", tmp_path, image_size=20)


def test_cifar10(real_data):
    splits = load("tfds:cifar10[:2%]", real_data / "tfds")
    assert splits.image_size == 32
    assert [len(split.ids()) for split in splits.parts()][2] == 200
    assert len(splits.train) + len(splits.val) == 1000
    assert splits.class_names[:3] == ("airplane", "automobile", "bird")
    source = splits.train.source
    assert np.bincount(source.labels).min() >= 120  # classes are interleaved
    assert isinstance(source, Pixels)
