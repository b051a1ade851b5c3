"""Shards: tar files and TFRecord files as they come, and what is refused with one clear message."""

import gzip
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from kerascnn import data
from kerascnn.artefacts.own_images import section_of
from kerascnn.config import Config, Data
from kerascnn.data import tfrecord, wds
from kerascnn.data.shard_files import MemoryBudget
from kerascnn.errors import Stopped, UserError
from kerascnn.runs import Run
from tests.data import make_shards
from tests.data.make_shards import jpeg, some, tar

ROOM = data.Room()


def load(dataset, **options) -> data.Splits:
    room = options.pop("room", ROOM)
    return data.load(Data(dataset=str(dataset), image_size=8, cache="off", **options), room)


def labels_of(splits: data.Splits) -> dict[str, str]:
    return {path: label for path, label, _ in splits.rows()}


@pytest.fixture
def settled(monkeypatch):
    """Files count as settled although they were written just now."""
    monkeypatch.setattr("kerascnn.data.record_index.SETTLED_NS", 0)


@pytest.fixture
def both(tmp_path):
    """The same two shards as tar files and as TFRecord files."""
    for part, start in enumerate((0, 30)):
        tar(tmp_path / f"{part}.tar", some(30, start=start))
        make_shards.tfrecord(tmp_path / f"{part}.tfrecord", some(30, start=start))
    return tmp_path


@pytest.mark.parametrize("form", ["wds", "tfrecord"])
def test_shards_are_listed_and_read_at_random(both, form):
    splits = load(f"{form}:{both}/*.{'tar' if form == 'wds' else form}")
    assert splits.class_names == ("ant", "bee")
    assert splits.name == both.name
    found = labels_of(splits)
    assert len(found) == 60
    assert {name: label for name, _, label in some(60)} == found
    source = splits.train.source
    assert [source.get(i) for i in (59, 0, 31)] == [jpeg(59), jpeg(0), jpeg(31)]
    assert np.ptp(source.fetch(np.array([5])).numpy()[0, ..., 0]) == 0


@pytest.mark.parametrize("form", ["wds", "tfrecord"])
def test_shards_are_indexed_once(both, form, settled, monkeypatch):
    dataset = f"{form}:{both}/{{0..1}}.{'tar' if form == 'wds' else form}"
    room = data.Room(both / "runs")
    first = load(dataset, room=room)
    assert len(list((both / "runs" / ".contents").glob("*-records.npz"))) == 2
    module = {"wds": wds, "tfrecord": tfrecord}[form]
    read = []
    samples = module._samples
    monkeypatch.setattr(module, "_samples", lambda shard, asked: read.append(shard.path.name) or samples(shard, asked))
    again = load(dataset, room=room)
    assert (again.fingerprint, again.rows(), read) == (first.fingerprint, first.rows(), [])
    assert again.train.source.get(31) == jpeg(31)
    changed = both / f"1.{'tar' if form == 'wds' else form}"
    (tar if form == "wds" else make_shards.tfrecord)(changed, some(30, ("bee", "ant"), start=30))
    assert load(dataset, room=room).fingerprint != first.fingerprint
    assert read == [changed.name]


@pytest.mark.parametrize("form", ["wds", "tfrecord"])
def test_a_shard_that_changes_under_a_run_ends_it(both, form):
    splits = load(f"{form}:{both}/0.{'tar' if form == 'wds' else form}")
    with (both / f"0.{'tar' if form == 'wds' else form}").open("ab") as file:
        file.write(bytes(512))
    with pytest.raises(UserError, match=r"0\.\w+ changed while it was in use: start the same command again"):
        splits.train.source.judge([3])


def test_a_shard_that_is_gone_stops_the_run(both):
    splits = load(f"wds:{both}/0.tar")
    (both / "0.tar").unlink()
    (both / "0.tar").mkdir()
    splits.train.source.get.__self__.shards[0]._descriptor = None  # as beyond the most that stay open
    with pytest.raises((Stopped, UserError), match=r"cannot be read|changed"):
        splits.train.source.judge([3])


def test_long_names_links_and_hidden_files_in_tar_files(tmp_path):
    long = "photos/" + "x" * 200 + "/ä.v2.JPG"
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        rows = [("./" + long, jpeg(1), "ant"), ("._0000.jpg", b"resource fork", "x"), *some(20)]
        tar(tmp_path / "a.tar", rows, form=form)
        found = labels_of(load(f"wds:{tmp_path}/a.tar"))
        assert len(found) == 21
        assert found[long] == "ant"
    os.link(tmp_path / "a.tar", tmp_path / "b.jpg")
    with tarfile.open(tmp_path / "linked.tar", "w") as archive:
        archive.add(tmp_path / "b.jpg", "one.jpg")
        archive.add(tmp_path / "a.tar", "two.jpg")
    with pytest.raises(UserError, match=r"'two.jpg' is a link .*--dereference"):
        load(f"wds:{tmp_path}/linked.tar")


@pytest.mark.parametrize(
    ("rows", "kind", "names", "several"),
    [
        (some(20), "cls", ("ant", "bee"), False),
        (some(24, (2, 10, 0)), "cls", ("0", "2", "10"), False),
        (some(20), "txt", ("ant", "bee"), False),
        (some(20, ("bee", "ant")), "json", ("ant", "bee"), False),
        (some(20, (["bee", "ant"], ["bee"], [])), "json", ("ant", "bee"), True),
        (some(20, ([0, 2], [2])), "json", ("0", "2"), True),
    ],
)
def test_labels_of_tar_files(tmp_path, rows, kind, names, several):
    tar(tmp_path / "a.tar", rows, kind)
    section = Data(dataset=f"wds:{tmp_path}/a.tar", image_size=8)
    source = wds.listing(section, 8, "squash", ROOM).source
    assert source.class_names == names
    assert source.several == several
    if several:
        expected = [{names.index(str(label)) for label in row[2]} for row in rows]
        assert [set(np.flatnonzero(row).tolist()) for row in source.labels] == expected
    else:
        assert [names[label] for label in source.labels] == [str(row[2]) for row in rows]


def test_a_key_of_the_json_may_be_told(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for i in range(20):
            for name, content in (
                (f"{i}.json", json.dumps({"kind": f"k{i % 2}", "n": 5}).encode()),
                (f"{i}.png", jpeg(i)),
            ):
                (tmp_path / "x").write_bytes(content)
                archive.add(tmp_path / "x", name)
    assert load(f"wds:{tmp_path}/a.tar", label_key="kind").class_names == ("k0", "k1")
    with pytest.raises(UserError, match=r"label of '0.png': its .json has no key 'label'.*'kind', 'n' \(--label-key\)"):
        load(f"wds:{tmp_path}/a.tar")


@pytest.mark.parametrize(
    ("rows", "options", "names", "counts"),
    [
        (some(20), {}, ("ant", "bee"), [10, 10]),
        (some(21, ((7, "ant"), (3, "bee"), (5, "cat"))), {}, ("bee", "cat", "ant"), [7, 7, 7]),
        (some(20, (1, 2)), {"class_names": ("ant", "bee")}, ("ant", "bee"), [10, 10]),
        (some(20, (0, 1)), {"class_names": ("ant", "bee", "cat")}, ("ant", "bee", "cat"), [10, 10, 0]),
        (some(20, (0, 1, 1, -1)), {}, ("0", "1"), [5, 10]),
        (some(20, ([0, 4], [4], [])), {}, ("0", "4"), [7, 14]),
    ],
)
def test_labels_of_tfrecord_files(tmp_path, rows, options, names, counts):
    make_shards.tfrecord(tmp_path / "a.tfrecord", rows)
    section = Data(dataset=f"tfrecord:{tmp_path}/a.tfrecord", image_size=8, **options)
    source = tfrecord.listing(section, 8, "squash", ROOM).source
    assert source.class_names == names
    found = source.labels.sum(axis=0) if source.several else np.bincount(source.labels, minlength=len(names))
    assert found.tolist() == counts


def test_features_may_be_told_and_are_listed(tmp_path):
    rows = [(name, content, None) for name, content, _ in some(20)]
    odd = {"image/encoded": None, "picture": jpeg(3), "kind": [4]}
    make_shards.tfrecord(tmp_path / "a.tfrecord", rows[:10], **odd)
    make_shards.tfrecord(tmp_path / "b.tfrecord", rows[10:], **{**odd, "kind": [6]})
    dataset = f"tfrecord:{tmp_path}/*.tfrecord"
    assert load(dataset, image_key="picture", label_key="kind").class_names == ("4", "6")
    with pytest.raises(
        UserError, match=r"record 0: no feature 'image/encoded' or 'image'; it has .*'picture' \(--image-key\)"
    ):
        load(dataset)
    with pytest.raises(UserError, match=r"no feature 'kin' - perhaps you meant 'kind'"):
        load(dataset, image_key="picture", label_key="kin")


def test_names_of_shards_and_of_images_tell_their_split(tmp_path):
    for split, start in (("train", 0), ("validation", 40), ("test", 60)):
        tar(tmp_path / f"photos-{split}-0.tar", some(20, start=start))
    assert [len(part) for part in load(f"wds:{tmp_path}/*.tar").parts()] == [20, 20, 20]
    rows = [
        (f"{'train' if i < 30 else 'test'}/{name}", content, label) for i, (name, content, label) in enumerate(some(40))
    ]
    tar(tmp_path / "all.tar", rows)
    splits = load(f"wds:{tmp_path}/all.tar")
    assert len(splits.test) == 10
    assert splits.name == "all"
    with pytest.raises(UserError, match=r"named after a split, and all.tar is not"):
        load(f"wds:{tmp_path}/*.tar")


def test_names_that_several_shards_use_are_preceded_by_their_shard(tmp_path):
    for part in range(2):
        tar(tmp_path / f"{part}.tar", some(20))
    assert {"0/0003.jpg", "1/0003.jpg"} <= labels_of(load(f"wds:{tmp_path}/*.tar")).keys()
    make_shards.tfrecord(tmp_path / "a.tfrecord", [(None, content, label) for _, content, label in some(20)])
    assert "a/000003" in labels_of(load(f"tfrecord:{tmp_path}/a.tfrecord"))


@pytest.mark.parametrize("ending", ["tar.gz", "tgz", "tar.bz2", "tar.xz"])
def test_a_compressed_tar_file_is_read_into_memory(tmp_path, ending):
    path = tar(tmp_path / f"a.{ending}", some(30), mode=f"w:{ending.removeprefix('tar.').replace('tgz', 'gz')}")
    splits = load(f"wds:{path}")
    assert splits.train.source.get(7) == jpeg(7)


def test_a_compressed_shard_that_does_not_fit_names_the_conversion(tmp_path, monkeypatch):
    path = make_shards.tfrecord(tmp_path / "a.tfrecord.gz", some(30), "GZIP")
    assert load(f"tfrecord:{path}").train.source.get(7) == jpeg(7)
    monkeypatch.setattr("kerascnn.data.shard_files.free_memory", lambda: 4000)
    with pytest.raises(
        UserError, match=r"compressed as a whole, .*quarter of the free memory .*gzip -dk a.tfrecord.gz"
    ):
        load(f"tfrecord:{path}")
    (tmp_path / "a.tar").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))
    with pytest.raises(UserError, match=r"zstd -dk a\.tar"):
        load(f"wds:{tmp_path}/a.tar")


def test_a_record_whose_length_resembles_gzip_is_read(tmp_path):
    length = 0x088B1F
    small = make_shards.example("0.jpg", jpeg(0), "ant", padding=b"")
    padding = bytes(length - len(small) - 7)
    whole = make_shards.example("0.jpg", jpeg(0), "ant", padding=padding)
    padding = (
        padding[: len(padding) - (len(whole) - length)] if len(whole) > length else padding + bytes(length - len(whole))
    )
    rows = [("0.jpg", jpeg(0), "ant")]
    path = make_shards.tfrecord(tmp_path / "a.tfrecord", rows, padding=padding)
    make_shards.tfrecord(tmp_path / "b.tfrecord", some(30, start=1))
    assert path.read_bytes()[:3] == b"\x1f\x8b\x08"
    assert len(labels_of(load(f"tfrecord:{tmp_path}/*.tfrecord"))) == 31


def spoilt(path, change) -> None:
    content = bytearray(path.read_bytes())
    path.write_bytes(change(content))


TARS = {
    "truncated within an image": (lambda c: c[:700], r"damaged or truncated"),
    "without an end mark": (lambda c: c[: 2048 * 30], r"truncated at byte 61,440: it has no end mark"),
    "damaged in the middle": (lambda c: c[:20480] + b"x" * 512 + c[20992:], r"truncated at byte 20,480"),
    "not a tar file": (lambda c: b"hello" * 300, r"no tar file"),
    "two archives in a row": (lambda c: c + c, r"goes on after its end mark"),
}


@pytest.mark.parametrize("name", TARS)
def test_a_damaged_tar_file_is_one_message(tmp_path, name):
    change, message = TARS[name]
    spoilt(tar(tmp_path / "a.tar", some(30)), change)
    with pytest.raises(UserError, match=rf"a.tar.*{message}"):
        load(f"wds:{tmp_path}/a.tar")


RECORDS = {
    "truncated": (lambda c: c[:-3], r"is truncated: it ends within record 29"),
    "truncated in a length": (lambda c: c[:-3] + c[-3:] + b"12345", r"is truncated: it ends within record 30"),
    "a flipped bit": (
        lambda c: c[:300] + bytes([c[300] ^ 1]) + c[301:],
        r"record 0 at byte 12 is damaged \(checksum\)",
    ),
    "no records": (lambda c: b"hello world, this is text", r"is no TFRecord file"),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_damaged_tfrecord_file_is_one_message(tmp_path, name):
    change, message = RECORDS[name]
    spoilt(make_shards.tfrecord(tmp_path / "a.tfrecord", some(30)), change)
    with pytest.raises(UserError, match=rf"a.tfrecord.*{message}"):
        load(f"tfrecord:{tmp_path}/a.tfrecord")


def test_what_is_missing_or_double_is_one_message(tmp_path):
    rows = some(30)
    with pytest.raises(data.Missing, match=r"no file matches wds:.*nowhere"):
        load(f"wds:{tmp_path}/nowhere/*.tar")
    tar(tmp_path / "a-0.tar", rows)
    with pytest.raises(data.Missing, match=r"there is no .*a-1.tar"):
        load(f"wds:{tmp_path}/a-{{0..2}}.tar")
    with pytest.raises(UserError, match=r"two images have the key '0003', the second is '0003.png'"):
        load(f"wds:{tar(tmp_path / 'b.tar', [*rows, ('0003.png', jpeg(3), 'ant')])}")
    with tarfile.open(tmp_path / "c.tar", "w") as archive:
        (tmp_path / "x").write_bytes(jpeg(1))
        archive.add(tmp_path / "x", "one.jpg")
    with pytest.raises(UserError, match=r"'one.jpg' has no label: expected one.cls, .json or .txt"):
        load(f"wds:{tmp_path}/c.tar")
    with pytest.raises(UserError, match="numbers and names, such as 0 and 'bee'"):
        load(f"wds:{tar(tmp_path / 'd.tar', some(20, (0, 'bee')))}")
    with pytest.raises(UserError, match="--class-names has 1 names, and a label is 1"):
        load(f"wds:{tar(tmp_path / 'e.tar', some(20, (0, 1)))}", class_names=("ant",))
    with pytest.raises(UserError, match="needs a path, as in wds:"):
        load("wds:")


def test_damaged_images_in_a_shard_follow_the_rule(tmp_path):
    rows = some(200)
    rows[3] = ("0003.jpg", jpeg(3)[:-40], "bee")
    splits = load(f"wds:{tar(tmp_path / 'a.tar', rows)}")
    assert [name for name, _ in splits.skipped] == ["0003.jpg"]
    for i in range(10, 20):
        rows[i] = (rows[i][0], b"no image", rows[i][2])
    with pytest.raises(UserError, match=r"11 of 200 files in wds:.* cannot be decoded"):
        load(f"wds:{tar(tmp_path / 'a.tar', rows)}")


def test_many_shards_keep_few_files_open(tmp_path, monkeypatch):
    monkeypatch.setattr("kerascnn.data.shard_files._places", __import__("threading").Semaphore(3))
    for part in range(10):
        tar(tmp_path / f"{part}.tar", some(4, start=4 * part))
    source = load(f"wds:{tmp_path}/*.tar").train.source
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert [source.get(i) for i in range(40)] == [jpeg(i) for i in range(40)]
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 3


def test_the_budget_is_drawn_once():
    budget = MemoryBudget()
    budget.left = 10
    assert [budget.take(6), budget.take(6), budget.take(4)] == [True, False, True]


def test_gzip_of_half_a_file_is_one_message(tmp_path):
    tar(tmp_path / "a.tar", some(30))
    (tmp_path / "a.tgz").write_bytes(gzip.compress((tmp_path / "a.tar").read_bytes())[:-100])
    with pytest.raises(UserError, match=r"a.tgz is damaged or truncated"):
        load(f"wds:{tmp_path}/a.tgz")


def test_a_run_finds_its_shards_from_another_folder(both, monkeypatch):
    run = Run(both / "runs" / "run")
    run.write_config(Config(data={"dataset": "wds:{0..1}.tar"}))
    run.environment_file.write_text(json.dumps([{"directory": str(both)}]))
    assert section_of(run).dataset == f"wds:{both}/{{0..1}}.tar"
    monkeypatch.chdir(both)
    assert section_of(run).dataset == "wds:{0..1}.tar"
