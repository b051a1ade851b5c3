"""Predictions of other programs: the forms that are read, and what is said of files that cannot be."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from kerascnn.errors import UserError
from kerascnn.outside import read_systems
from kerascnn.outside.systems import named_files

NAMES = ("ants", "bees", "wasps")
PATHS = tuple(f"val/{NAMES[i % 3]}/{i}.jpg" for i in range(12))
LABELS = np.arange(12) % 3
PROBABILITIES = np.full((12, 3), 0.1)
PROBABILITIES[np.arange(12), np.where(np.arange(12) < 9, LABELS, (LABELS + 1) % 3)] = 0.8
ORDER = np.argsort(-PROBABILITIES, axis=1, kind="stable")
RANKED = np.take_along_axis(PROBABILITIES, ORDER, axis=1)
TRIPLES = tuple(zip((Path(path).name for path in PATHS), ORDER, RANKED, strict=True))
BASES = tuple(Path(path).name for path in PATHS)


def write(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture
def plain(tmp_path):
    """The truth, and probabilities by class."""
    rows = [(p, NAMES[c], *row) for p, c, row in zip(PATHS, LABELS, PROBABILITIES, strict=True)]
    return write(tmp_path / "plain.csv", ("id", "label", *NAMES), rows)


def timm_csv(path):
    """As pandas writes arrays; long ones have line ends."""
    rows = [(b, np.array(i), np.array(p, "float32")) for b, i, p in TRIPLES]
    return write(path, ("filename", "index", "prob"), rows)


def timm_whole(path):
    """--topk 0: all outputs in the order of the classes."""
    return write(path, ("filename", "prob"), zip(BASES, map(np.array, PROBABILITIES), strict=True))


def timm_separate(path):
    header = ("filename", "index_0", "index_1", "index_2", "logit_0", "logit_1", "logit_2")
    return write(path, header, [(b, *i, *np.log(p)) for b, i, p in TRIPLES])


def timm_json(path):
    found = {b: {"index": i.tolist(), "prob": p.tolist()} for b, i, p in TRIPLES}
    path.write_text(json.dumps(found, indent=4))
    return path


def timm_split(path):
    data = [[b, i.tolist(), p.tolist()] for b, i, p in TRIPLES]
    path.write_text(json.dumps({"columns": ["filename", "index", "prob"], "data": data}))
    return path


def timm_parquet(path):
    table = {"index": ORDER.tolist(), "prob": RANKED.tolist(), "filename": BASES}
    pyarrow.parquet.write_table(pa.table(table), path)
    return path


def hugging_face(path):
    """One object per line, as `pipeline(..., top_k=None)` answers."""
    lines = [
        json.dumps({"file": b, "predictions": [{"label": NAMES[c], "score": s} for c, s in zip(i, p, strict=True)]})
        for b, i, p in TRIPLES
    ]
    path.write_text("\n".join(lines))
    return path


def predict_csv(path):
    """`kerascnn predict --csv --top 3`."""
    header = ("image", *(f"{what}_{i}" for i in (1, 2, 3) for what in ("class", "probability")))
    rows = [(b, *(x for c, s in zip(i, p, strict=True) for x in (NAMES[c], s))) for b, i, p in TRIPLES]
    return write(path, header, rows)


def kept_npz(path):
    np.savez(path, ids=np.array(PATHS), labels=LABELS, probabilities=PROBABILITIES, class_names=np.array(NAMES))
    return path


def prefixed(path):
    rows = [(rf"C:\data\{p}".replace("/", "\\"), *row[::-1], 7) for p, row in zip(PATHS, PROBABILITIES, strict=True)]
    return write(path, ("Path", *(f"prob_{n}" for n in NAMES[::-1]), "width"), rows)


def texts(path):
    """`yolo classify predict save_txt=True`."""
    path.mkdir()
    for b, i, p in TRIPLES:
        lines = [f"{s:.2f} {NAMES[c]}" for c, s in zip(i, p, strict=True)]
        (path / f"{Path(b).stem}.txt").write_text("\n".join(lines) + "\n")
    return path


WHOLE = (
    (timm_csv, "timm.csv"), (timm_whole, "whole.csv"), (timm_separate, "separate.csv"), (timm_json, "timm.json"),
    (timm_split, "split.json"), (timm_parquet, "timm.parquet"), (hugging_face, "hf.jsonl"), (predict_csv, "predict.csv"),
    (kept_npz, "kept.npz"), (prefixed, "prefixed.csv"), (texts, "labels"),
)  # fmt: skip


@pytest.mark.parametrize(("form", "name"), WHOLE, ids=[name for _, name in WHOLE])
def test_every_form_gives_the_same_probabilities(form, name, plain, tmp_path):
    truth, (first, second) = read_systems([str(plain), f"other={form(tmp_path / name)}"], None, None)
    assert truth.class_names == NAMES
    np.testing.assert_array_equal(truth.labels, LABELS)
    for system in (first, second):
        assert not system.by_class_only
        np.testing.assert_allclose(system.predictions[0].probabilities, PROBABILITIES, atol=1e-6)
    assert second.name == "other"


def timm_top1(path):
    return write(path, ("filename", "index", "label", "prob"), [(b, i[0], "words", p[0]) for b, i, p in TRIPLES])  # fmt: skip


def labelled_top1(path):
    """A label beside a score is the prediction."""
    return write(path, ("file", "label", "score"), [(b, NAMES[i[0]], p[0]) for b, i, p in TRIPLES])  # fmt: skip


def ultralytics_json(path):
    rows = [
        {"path": p, "name": NAMES[i[0]], "class": int(i[0]), "confidence": 0.8}
        for p, i in zip(PATHS, ORDER, strict=True)
    ]
    path.write_text(json.dumps(rows))
    return path


def top2(path):
    return write(path, ("filename", "index", "prob"), [(b, i[:2], p[:2]) for b, i, p in TRIPLES])  # fmt: skip


@pytest.mark.parametrize("form", [timm_top1, labelled_top1, ultralytics_json, top2])
def test_without_all_probabilities_the_class_counts(form, plain, tmp_path):
    _, (_, other) = read_systems([str(plain), f"other={form(tmp_path / 'other.csv')}"], None, None)
    assert other.by_class_only
    np.testing.assert_array_equal(other.predictions[0].predicted, PROBABILITIES.argmax(axis=1))
    assert "only predicted classes" in other.said


def test_truth_from_folders_a_table_and_paths(plain, tmp_path):
    timm = str(timm_csv(tmp_path / "timm.csv"))
    for path in PATHS:
        file = tmp_path / "images" / Path(*Path(path).parts[1:])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    for given in (tmp_path / "images", plain):
        truth, (system,) = read_systems([timm], None, given)
        assert truth.class_names == NAMES
        assert system.predictions[0].correct.sum() == 9
    whole = write(tmp_path / "paths.csv", ("path", "class"), zip(PATHS, ["bees"] * 12, strict=True))
    truth, _ = read_systems([str(whole)], None, None)
    assert [truth.class_names[label] for label in truth.labels] == [NAMES[label] for label in LABELS]
    with pytest.raises(UserError, match=r"no true labels.*--truth FOLDER"):
        read_systems([timm], None, None)


def test_costs_are_medians(tmp_path, plain):
    header = ("id", "class", "params", "macs", "latency_ms", "train_seconds")
    files = []
    for seed, each in enumerate((2.0, 4.0, 9.0)):
        rows = [(p, "ants", 1000, 2e6, each + (i == 0), 60) for i, p in enumerate(PATHS)]
        files.append(str(write(tmp_path / f"b_seed{seed}.csv", header, rows)))
    _, (_, system) = read_systems([str(plain), *files], None, None)
    assert (system.name, len(system.files)) == ("b", 3)
    assert (system.cost.params, system.cost.macs, system.cost.train_seconds) == (1000, 2_000_000, 60.0)
    assert system.cost.latency_p50 == 4.0
    assert system.cost.latencies == (2.0, 4.0, 9.0)


def test_files_of_one_name_are_seeds(tmp_path):
    for name in ("s10.csv", "s2.csv", "a_seed0.csv", "a_seed1.csv", "b=c.csv"):
        (tmp_path / name).touch()
    at = f"{tmp_path}/"
    found = named_files([f"x={at}s*.csv", f"{at}a_seed0.csv", f"{at}a_seed1.csv", f"{at}b=c.csv"])
    assert {name: [path.name for path in paths] for name, paths in found.items()} == {
        "x": ["s2.csv", "s10.csv"],
        "a": ["a_seed0.csv", "a_seed1.csv"],
        "b=c": ["b=c.csv"],
    }
    with pytest.raises(UserError, match="given twice"):
        named_files([f"x={at}s2.csv", f"x={at}s2.csv"])
    with pytest.raises(UserError, match="there is no such file"):
        named_files([f"x={at}none*.csv"])


def changed(**cells):
    """A second table with some cells of its first row changed."""
    header = ("id", "label", *NAMES)
    rows = [[p, NAMES[c], *row] for p, c, row in zip(PATHS, LABELS, PROBABILITIES, strict=True)]
    for name, value in cells.items():
        rows[0][header.index(name)] = value
    return header, rows


BAD = {
    "labels": (changed(label="bees"), r"1 of 12 labels are not those of .*plain.csv: val/ants/0.jpg is bees here, ants there"),
    "missing": ((changed()[0], changed()[1][2:]), r"lacks 2 of the 12 images of .*plain.csv \(val/ants/0.jpg, val/bees/1.jpg\)"),
    "twice": ((changed()[0], [*changed()[1], changed()[1][3]]), r"val/ants/3.jpg occurs twice: expected one row for each"),
    "elsewhere": (changed(id="test/ants/0.jpg"), r"lacks 1 of the 12 images"),
    "one image": ((changed()[0], [*changed()[1], ["ants/3.jpg", *changed()[1][3][1:]]]), r"val/ants/3.jpg and ants/3.jpg are"),
    "sum": (changed(bees=0.9), r"row 2 \(val/ants/0.jpg\): probabilities that sum to 1.8, as 1 of 12 rows have"),
    "negative": (changed(bees=-0.1, ants=1.0), r"row 2 .*a probability of -0.1"),
    "class": (changed(label="wolf"), r"row 2 .*wolf is neither a class nor the number of one: the 3 classes are ants, bees"),
    "number": (changed(bees="many"), r"expected a probability for each of the 3 classes"),
    "empty": (changed(label=""), r"row 2 .*no true label: the cell is empty"),
    "no images": ((("x", "label", *NAMES), changed()[1]), r"has no column of images: call it id or path; it has x, label, ants"),
    "no predictions": ((("id", "label"), [row[:2] for row in changed()[1]]), r"has no predictions: expected a column"),
    "two answers": ((("id", "class", *NAMES), changed(label="wasps")[1]), r"predicts wasps, but ants has the highest"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_named_with_their_row(case, plain, tmp_path):
    (header, rows), message = BAD[case]
    bad = write(tmp_path / "bad.csv", header, rows)
    truth, _ = read_systems([str(plain)], None, None)
    with pytest.raises(UserError, match=message):
        read_systems([str(bad)], truth, None)


def test_a_name_in_two_folders_is_ambiguous(tmp_path):
    truth = write(tmp_path / "truth.csv", ("id", "label", "class"), [("a/1.jpg", "a", "a"), ("b/1.jpg", "b", "a")])
    short = write(tmp_path / "short.csv", ("id", "class"), [("1.jpg", "a"), ("b/1.jpg", "b")])
    with pytest.raises(UserError, match=r"1.jpg is ambiguous: 2 images .* end in it \(a/1.jpg, b/1.jpg\)"):
        read_systems([str(truth), str(short)], None, None)


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02", b'{"a": 1', b"[1, 2]", b"PK\x03\x04zip"])
def test_other_files_are_refused(content, tmp_path):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UserError, match="file"):
        read_systems([str(tmp_path / "file")], None, None)
