"""`kerascnn embed` and `kerascnn neighbors` on the network in the package."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from google.protobuf import text_format
from PIL import Image
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

import kerascnn
from kerascnn import data, embed, neighbors
from kerascnn.config import Config
from kerascnn.errors import CHECK_FAILED, DONE, USER_ERROR
from kerascnn.prediction.feature_files import PATHS, SIDE

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty test images, one folder per class, with one image twice."""
    folder = tmp_path_factory.mktemp("photos")
    splits = data.load(Config().data)
    pixels = splits.test.source.fetch(splits.test.indices[:40]).numpy()
    for place, (image, label) in enumerate(zip(pixels, splits.test.labels, strict=False)):
        file = folder / splits.class_names[int(label)].replace("/", "-") / f"{place:02d}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(file)
    shutil.copyfile(file, folder / "copy.png")
    return folder


@pytest.fixture(scope="module")
def written(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features")
    words = ["demo", str(photos), "--output", str(folder / "f.parquet"), "--projector", str(folder / "projector")]
    assert embed.main(words) == DONE
    return folder


def test_a_file_holds_what_the_library_answers(written: Path) -> None:
    table = pq.read_table(written / "f.parquet")
    paths = table.column("path").to_pylist()
    assert len(paths) == 41
    values = np.array(table.column("features").to_pylist(), np.float32)
    np.testing.assert_allclose(kerascnn.load("demo").features(paths[:3]), values[:3], atol=1e-5)
    assert values.std(axis=0).max() > 0.01, "features differ from image to image"


def test_both_files_hold_the_same(photos: Path, written: Path, tmp_path: Path) -> None:
    assert embed.main(["demo", str(photos), "--output", str(tmp_path / "f.npy"), "--batch-size", "7"]) == DONE
    table = pq.read_table(written / "f.parquet")
    _, *paths = [json.loads(line) for line in Path(f"{tmp_path}/f.npy{PATHS}").read_text().splitlines()]
    assert paths == table.column("path").to_pylist()
    np.testing.assert_allclose(np.load(tmp_path / "f.npy"), np.array(table.column("features").to_pylist()), atol=1e-5)


def test_the_projector_reads_its_folder(written: Path) -> None:
    folder = written / "projector"
    config = text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (shown,) = config.embeddings
    tensors = (folder / shown.tensor_path).read_text().splitlines()
    assert len(tensors) == len((folder / shown.metadata_path).read_text().splitlines()) == 41
    assert len(tensors[0].split("\t")) == 64
    with Image.open(folder / shown.sprite.image_path) as sprite:
        assert sprite.size == (7 * SIDE, 7 * SIDE)
        assert np.asarray(sprite)[:SIDE, :SIDE].std() > 10


def test_a_copy_is_the_nearest_image(photos: Path, written: Path, tmp_path: Path, capsys) -> None:
    """Also where the features of the searched images come from a file."""
    original = next(path for path in photos.glob("*/39.png"))
    for among in (str(photos), str(written / "f.parquet")):
        words = ["demo", str(photos / "copy.png"), "--among", among, "--top", "3", "--json"]
        assert neighbors.main([*words, "--html", str(tmp_path / "n.html")]) == DONE
        (found,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert Path(found["neighbors"][0]["image"]) == original
        similarities = [one["similarity"] for one in found["neighbors"]]
        assert similarities == sorted(similarities, reverse=True)
        assert similarities[0] == pytest.approx(1, abs=1e-5)
        assert len(similarities) == 3
    page = (tmp_path / "n.html").read_text(encoding="utf-8")
    assert page.count("data:image/png") == 4
    assert "39.png" in page


def test_a_broken_image_is_named_and_stops_nothing(photos: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "broken.png").write_text("no image")
    words = ["demo", str(tmp_path / "broken.png"), str(photos / "copy.png"), "--among", str(photos)]
    assert neighbors.main(words) == CHECK_FAILED
    shown = capsys.readouterr()
    assert "broken.png" in shown.err
    assert len(shown.out.splitlines()) == 6
    assert embed.main(["demo", str(tmp_path / "broken.png"), "--output", str(tmp_path / "f.parquet")]) == USER_ERROR
    assert "no image could be used" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.png"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("embed demo", "which network and which images?"),
        ("embed demo photos", "where to? --output FILE.parquet"),
        ("embed demo photos --output f.csv", "--output: expected FILE.parquet or FILE.npy, got f.csv"),
        ("neighbors demo a.png", "among which?"),
        ("neighbors demo PHOTOS/copy.png --among F", "f.parquet is no file of kerascnn embed"),
        ("neighbors demo PHOTOS/copy.png --among OTHER", "has the features of another network"),
    ],
)
def test_mistakes(words: str, message: str, photos: Path, written: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "f.parquet").write_text("no table")
    table = pq.read_table(written / "f.parquet")
    pq.write_table(table.replace_schema_metadata({"kerascnn.network": "another"}), tmp_path / "other.parquet")
    places = {"PHOTOS": photos, "F": tmp_path / "f.parquet", "OTHER": tmp_path / "other.parquet"}
    command, *rest = words.split()
    for name, place in places.items():
        rest = [str(place) if word == name else word.replace(f"{name}/", f"{place}/") for word in rest]
    assert {"embed": embed, "neighbors": neighbors}[command].main(rest) == USER_ERROR
    assert message in capsys.readouterr().err
