"""Tables as people have them: forms, columns, several labels, and what is refused with one clear message."""

import json
import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from kerascnn import data
from kerascnn.config import Config, Data
from kerascnn.data import table_images
from kerascnn.data.room import Missing
from kerascnn.errors import UserError
from kerascnn.runs import identity


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Twelve photos of each of two classes, in class folders."""
    root = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(0)
    for label in ("ant", "bee"):
        (root / label).mkdir()
        for place in range(12):
            pixels = rng.integers(0, 255, (20, 24, 3), np.uint8)
            Image.fromarray(pixels).save(root / label / f"{place}.{('jpg', 'png', 'webp')[place % 3]}")
    return root


@pytest.fixture
def photos(made, tmp_path) -> Path:
    root = tmp_path / "photos"
    shutil.copytree(made, root, copy_function=os.link)
    return root


def names(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.glob("*/*") if path.suffix != ".csv")


def load(path: Path | str, **options) -> data.Splits:
    return data.load(Data(dataset=str(path), image_size=16, cache="off", **options))


def write(
    path: Path, rows: list[tuple[str, ...]], header: tuple[str, ...] = ("path", "label"), sign: str = ","
) -> Path:
    path.write_text("\n".join(sign.join(row) for row in [header, *rows]) + "\n")
    return path


def plain(root: Path) -> list[tuple[str, str]]:
    return [(name, name.split("/")[0]) for name in names(root)]


def refused(path: Path, match: str, **options) -> None:
    with pytest.raises(UserError, match=match) as error:
        load(path, **options)
    assert "\n" not in str(error.value)


def parquet(path: Path, root: Path, **options) -> Path:
    rows = [{"bytes": (root / name).read_bytes(), "path": name} for name in names(root)]
    pq.write_table(pa.table({"image": rows, "label": [label for _, label in plain(root)]}), path, **options)
    return path


@pytest.mark.parametrize(
    "form", ["csv", "tsv", "semicolons", "jsonl", "crlf", "cr", "bom", "parquet", "bytes", "plain bytes"]
)
def test_every_form_lists_what_the_folder_lists(photos, form):
    rows, path = plain(photos), photos / "table.txt"  # the content tells the form
    lines = [f"{name},{label}" for name, label in [("path", "label"), *rows]]
    if form == "bytes":
        parquet(path, photos)
    elif form == "plain bytes":
        content = [(photos / name).read_bytes() for name, _ in rows]
        pq.write_table(
            pa.table({"image": content, "file_name": [name for name, _ in rows], "label": [one for _, one in rows]}),
            path,
        )
    elif form == "parquet":
        columns = {"path": [name for name, _ in rows], "label": pa.array([one for _, one in rows]).dictionary_encode()}
        pq.write_table(pa.table(columns), path)
    elif form == "jsonl":
        path.write_text(
            "".join(json.dumps({"path": name, "label": one, "more": {"x": 1}}) + "\n" for name, one in rows)
        )
    elif form in ("tsv", "semicolons"):
        write(path, rows, sign={"tsv": "\t", "semicolons": ";"}[form])
    else:
        start, end = {"bom": ("\ufeff", "\n"), "crlf": ("", "\r\n"), "cr": ("", "\r"), "csv": ("\n\n", "\n")}[form]
        path.write_bytes((start + end.join(lines)).encode())
    found, folder = load(path), load(photos)
    assert found.fingerprint == folder.fingerprint
    assert found.rows() == folder.rows()
    assert found.class_names == ("ant", "bee")
    images = [splits.test.source.fetch(splits.test.indices).numpy() for splits in (found, folder)]
    np.testing.assert_array_equal(*images)
    assert found.test.source.encoded_size(np.arange(24)) == folder.test.source.encoded_size(np.arange(24))


def test_columns_are_found_or_told(photos):
    rows = [
        (label, "train" if at % 3 else "test", name, f"p{at % 5}", "x")
        for at, (name, label) in enumerate(plain(photos))
    ]
    path = write(photos / "t.csv", rows, ("species", "Split", "File Name", "patient", "by"))
    refused(
        path, r"no column with a usual name for labels: name it with --label-column. Its columns: 'species', 'Split'"
    )
    found = load(path, label_column=("species",))
    assert len(found.test) == 8
    assert "images: File Name, labels: species, splits: Split, groups: patient" in found.notes[0]
    refused(
        path,
        r"--label-column speceis: t.csv has no such column - perhaps you meant 'species'",
        label_column=("speceis",),
    )
    told = load(path, label_column=("species",), image_column="File Name", split_column="Split", group_column="patient")
    assert told.rows() == found.rows()
    path = write(photos / "u.csv", [(*row, "x") for row in plain(photos)], ("path", "label", "class"))
    refused(path, "u.csv has several columns that may be meant: label, class: name one with --label-column")
    path = write(photos / "v.csv", plain(photos), ("picture", "kind"))
    refused(path, "no column with a usual name for images")
    assert load(path, image_column="picture").class_names == ("ant", "bee"), "the other of two columns"
    refused(write(photos / "w.csv", plain(photos), ("path", "path")), "no column .* for labels|several columns")
    refused(write(photos / "x.csv", plain(photos)[1:], plain(photos)[0]), "the first row must name the columns")


def test_groups_stay_together_and_are_kept_in_split_csv(photos):
    rows = [(*row, f"p{at % 4}" if at % 6 else "") for at, row in enumerate(plain(photos))]
    path = write(photos / "t.csv", rows, ("path", "label", "group"))
    found = load(path)
    splits: dict[str, set[str]] = {}
    for _, _, split, group in found.rows():
        splits.setdefault(group, set()).add(split)
    assert all(len(where) == 1 for group, where in splits.items() if group)
    assert any("4 groups" in note or "groups by the table's column; 4 images" in note for note in found.notes)
    without = load(path, group_by=r"^\w+/\d")
    assert found.fingerprint != without.fingerprint == load(photos).fingerprint
    with pytest.raises(UserError, match="group-by and group-column"):
        Data(group_by="x", group_column="y")


def test_class_names_are_in_order_of_appearance_or_as_told(photos):
    path = write(photos / "t.csv", plain(photos)[::-1])
    found, folder = load(path), load(photos)
    assert found.class_names == ("bee", "ant")
    assert found.rows() == folder.rows(), "images are sorted by their names, whatever the order of rows"
    assert found.fingerprint != folder.fingerprint, "outputs are in another order"
    told = load(path, class_names=("ant", "bee"))
    assert (told.class_names, told.fingerprint) == (("ant", "bee"), folder.fingerprint)
    refused(
        path,
        r"t.csv: row 2: 'bee' is not among the class names - perhaps you meant 'beee'",
        class_names=("ant", "beee"),
    )
    numbers = write(photos / "n.csv", [(name, str(int(label == "bee"))) for name, label in plain(photos)])
    assert load(numbers, class_names=("ant", "bee")).fingerprint == folder.fingerprint
    with pytest.raises(UserError, match="each class once, got 'a' twice"):
        Data(class_names=("a", "a"))


@pytest.mark.parametrize("form", ["separator", "columns", "lists", "rows"])
def test_several_labels(photos, form):
    rows = [(name, label, "big" if at % 3 else "") for at, (name, label) in enumerate(plain(photos))]
    path, options = photos / "t.csv", {}
    if form == "separator":
        write(path, [(name, f" {one} | {other}") for name, one, other in rows])
        options = {"label_separator": "|"}
    elif form == "rows":
        long = [(name, label) for name, one, other in rows for label in (one, other) if label]
        write(path, long)
        refused(path, "rows 3 and 4 contradict each other about .*give --label-separator")
        options = {"label_separator": "|"}
    elif form == "columns":
        write(
            path,
            [
                (name, str(int(one == "ant")), "True" if one == "bee" else "false", str(float(bool(big))))
                for name, one, big in rows
            ],
            ("path", "is_ant", "is_bee", "is_big"),
        )
        options = {"label_column": ("is_*",), "class_names": ("ant", "bee", "big")}
    else:
        content = [json.dumps({"path": name, "labels": [one, *([big] if big else [])]}) for name, one, big in rows]
        path.write_text("\n".join(content))
    listing = data.listed(Data(dataset=str(path), image_size=16, **options))
    source = listing.source
    assert source.several
    assert source.labels.dtype == bool
    order = {"ant": 0, "bee": 1, "big": 2}
    ours = source.labels[:, [source.class_names.index(name) for name in order]]
    expected = np.zeros((24, 3), bool)
    for name, *labels in rows:
        expected[source.ids.index(name), [order[label] for label in labels if label]] = True
    np.testing.assert_array_equal(ours, expected)


def test_an_image_may_have_no_label_where_it_may_have_several(photos):
    path = write(photos / "t.csv", [*((name, "a|b") for name in names(photos)[:-1]), (names(photos)[-1], "")])
    section = Data(dataset=str(path), label_separator="|", image_size=16)
    labels = data.listed(section).source.labels
    assert sorted(labels.sum(axis=1).tolist()) == [0] + [2] * 23
    refused(path, r"t.csv: a row has no label in column 'label', first row 25: .* give --label-separator")
    path = write(photos / "u.csv", [(name, "1", "") for name in names(photos)], ("path", "a", "b"))
    refused(
        path, "row 2: column 'b': expected 0 or 1 in each column of several labels, got ''", label_column=("a", "b")
    )


def test_rows_that_repeat_an_image(photos):
    first = plain(photos)[0]
    path = write(photos / "t.csv", [*plain(photos), (f"./{first[0]}", first[1])])
    found = load(path)
    assert found.fingerprint == load(photos).fingerprint
    assert any("1 rows repeat an image: each counts once" in note for note in found.notes)
    write(path, [*plain(photos), (first[0], "bee")])
    refused(path, r"rows 2 and 26 contradict each other about 'ant/0.jpg': 'ant' and 'bee'")
    write(path, [*((*row, "train") for row in plain(photos)), (*first, "test")], ("path", "label", "split"))
    refused(path, r"rows 2 and 26 contradict .*'ant train' and 'ant test'")


def test_paths_stay_in_the_folder_of_the_table(photos):
    moved = photos / ".tables"  # no class
    moved.mkdir()
    path = write(moved / "t.csv", [(f"../{name}", label) for name, label in plain(photos)])
    refused(path, r"24 paths lie outside of the table's folder .*, first row 2: '../ant/0.jpg': --allow-outside")
    assert len(load(path, allow_outside=True).rows()) == 24
    absolute = write(photos / "a.csv", [(str(photos / name), label) for name, label in plain(photos)])
    assert load(absolute).fingerprint == load(photos).fingerprint
    windows = write(photos / "w.csv", [(f".\\{name}".replace("/", "\\"), label) for name, label in plain(photos)])
    assert load(windows).fingerprint == load(photos).fingerprint


def test_missing_and_damaged_files(photos):
    path = write(photos / "t.csv", [*plain(photos), ("ant/none.jpg", "ant"), ("bee/none.jpg", "bee")])
    refused(path, r"names 2 files that are missing, first in row 26: 'ant/none.jpg'; paths count from ")
    with pytest.raises(Missing):
        load(path)
    (photos / "ant" / "none.jpg").write_bytes(b"\xff\xd8\xffx")
    (photos / "bee" / "none.jpg").write_text("no image")
    with pytest.raises(
        UserError, match=r"(?s)2 of 26 files in .*t.csv cannot be decoded.*'bee/none.jpg': not an image"
    ):
        load(path)


def test_names_from_macos_are_found(photos):
    (photos / "ant" / "0.jpg").rename(photos / "ant" / unicodedata.normalize("NFD", "größe.jpg"))
    path = write(
        photos / "t.csv", [(name.replace("ant/0.jpg", "ant/größe.jpg"), label) for name, label in plain(photos)]
    )
    found = load(path)
    assert "ant/größe.jpg" in {row[0] for row in found.rows()}
    assert found.fingerprint == load(photos).fingerprint


def test_leave_out_works_as_for_folders(photos):
    path = write(photos / "t.csv", plain(photos))
    (photos / "cat").mkdir()
    Image.new("RGB", (9, 9)).save(photos / "cat" / "0.png")
    for pattern in ("cat", "c*", "cat/"):
        write(path, plain(photos))
        assert load(path, leave_out=(pattern,)).rows() == load(photos, leave_out=(pattern,)).rows()
    assert any(
        "--leave-out dog: no path has such a folder" in note for note in load(path, leave_out=("dog", "cat")).notes
    )


def test_a_split_file_is_applied(photos, tmp_path):
    path = write(photos / "t.csv", plain(photos))
    rows = [(*row, "test" if at % 4 == 0 else "train") for at, row in enumerate(plain(photos))]
    file = write(tmp_path / "split.csv", rows, ("path", "label", "split"))
    assert load(path, split_file=str(file)).test.ids() == [name for name, _, split in rows if split == "test"]
    # A run's split.csv is a table itself.
    shutil.copy(file, photos / "split.csv")
    assert load(photos / "split.csv").test.ids() == load(path, split_file=str(file)).test.ids()


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is empty"),
        (b"path,label\n", "has no rows"),
        (b"path,label\na.jpg,x\0y\n", "NUL"),
        (b"PK\x03\x04....", "is a file: an archive or an Excel workbook"),
        (b"\x1f\x8b\x08", "compressed: unpack"),
        ("path,label\na,b\n".encode("utf-16"), "UTF-16: save it as UTF-8"),
        ("path,label\nä.jpg,b\n".encode("latin-1"), "not text in UTF-8"),
        (b"path,label\na.jpg,x,more\n", "cannot be read as a table: .*Expected 2 columns, got 3"),
        (b'path,label\na.jpg,"x\n', "cannot be read as a table|has no label|names no image|missing"),
        (b"path,label\n,ant\n", "row 2 names no image"),
        (b'{"path": "a"\n', "cannot be read as a table: JSON"),
        (b'[{"path": "a", "label": "b"}]', "JSON array: expected JSON lines"),
        (b"PAR1 and nothing else", "cannot be read as a table"),
        (b"path,label,split\na.jpg,x,fold1\n", r"row 2: column 'split': expected train, val or test .*got 'fold1'"),
        (b"path,label,split\na.jpg,x,train\nb.jpg,x,\n", r"row 3: column 'split': expected train"),
    ],
    ids=str,
)
def test_what_is_no_table(photos, content, match):
    (photos / "t.csv").write_bytes(content)
    refused(photos / "t.csv", match)


def test_row_groups_are_read_on_demand_in_bounded_memory(photos, monkeypatch):
    path = parquet(photos / "t.parquet", photos, row_group_size=5, compression="zstd")
    monkeypatch.setattr(table_images, "HELD", 1)
    source = load(path).train.source
    images = source.fetch(np.random.default_rng(0).permutation(24)).numpy()
    assert images.shape == (24, 16, 16, 3)
    reader = source.get.__self__
    assert len(reader._groups) == 1
    monkeypatch.setattr(table_images, "LARGEST", 1000)
    refused(path, r"a row group has .* write the table again with .*compression='none'")
    parquet(path, photos, compression="none")
    assert load(path).fingerprint == load(photos).fingerprint, "read where they lie, whatever the size of row groups"


def test_a_nul_far_inside(photos):
    path = write(photos / "t.csv", [*plain(photos) * 200, ("ant/0.jpg\0x", "ant")])
    refused(path, r"row 4802: 'path' contains a NUL character")


def test_a_missing_table_and_a_folder_called_csv(photos, tmp_path):
    with pytest.raises(Missing, match=r"there is no table .*photos\.csv"):
        load(tmp_path / "photos.csv")
    with pytest.raises(UserError, match="is not a file: expected a table"):
        load(f"table:{photos}")
    photos.rename(tmp_path / "photos.csv")
    assert len(load(tmp_path / "photos.csv").rows()) == 24


def test_names_of_labels_that_hugging_face_keeps(photos):
    path = photos / "t.parquet"
    features = {"image": {"_type": "Image"}, "label": {"names": ["ant", "bee"], "_type": "ClassLabel"}}
    table = pa.table(
        {
            "image": [{"bytes": (photos / name).read_bytes(), "path": name} for name in names(photos)],
            "label": [int(label == "bee") for _, label in plain(photos)],
        }
    ).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path)
    assert load(path).fingerprint == load(photos).fingerprint


def test_options_of_tables_change_no_names_of_other_runs(photos):
    options = {"image_column": "path", "label_column": ("label",), "class_names": ("ant", "bee"), "allow_outside": True}
    assert identity(Config(data=Data(**options)), "x") == identity(Config(), "x")
