"""Runs, `.keras` files and SavedModels answer alike; one bad file stops nobody else; memory stays bounded."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerascnn import artefacts
from kerascnn.artefacts import savedmodel
from kerascnn.artefacts.opening import probabilities_of
from kerascnn.artefacts.predictor import Predictor
from kerascnn.cli.recipes import dumps
from kerascnn.config import Config
from kerascnn.data import decode
from kerascnn.errors import UserError
from kerascnn.runs import Run
from tests.artefacts import networks
from tests.data import odd_files

pytestmark = pytest.mark.training

NAMES = tuple("abcdefg")


@pytest.fixture(scope="module")
def network():
    return networks.tiny()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return networks.predicting(tmp_path_factory.mktemp("runs") / "tiny", NAMES)


@pytest.fixture(scope="module")
def saved(network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved_models") / "tiny"
    return savedmodel.export(network, folder, class_names=NAMES, image_size=32, resize="crop")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> list[odd_files.OddFile]:
    return odd_files.make(tmp_path_factory.mktemp("odd"))


def test_every_form_gives_the_same_answers(network, run: Run, saved: Path, corpus: list[odd_files.OddFile]) -> None:
    files = [odd.path for odd in corpus if odd.reason is None]
    paths = tf.data.Dataset.from_tensor_slices([bytes(path) for path in files])
    pixels = np.stack(list(paths.map(lambda path: decode.preprocess(decode.read(path), 32, "crop"))))
    expected = probabilities_of(network)(pixels.astype("float32")).numpy()
    for path in (run.path, str(run.best_model), saved):
        predictor = artefacts.open(path)
        assert (predictor.class_names, predictor.image_size, predictor.resize) == (NAMES, 32, "crop")
        got = predictor.predict(files)
        assert got.shape == (len(files), 7)
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_file_alone_is_what_is_said(network, tmp_path: Path) -> None:
    path = tmp_path / "some.keras"
    network.save(path)
    alone = artefacts.open(path)
    assert (alone.class_names, alone.image_size, alone.resize) == (tuple("0123456"), 32, "squash")
    said = artefacts.open(path, class_names=NAMES, resize="pad")
    assert (said.class_names, said.image_size, said.resize) == (NAMES, 32, "pad")


def test_the_newest_version_answers(saved: Path, tmp_path: Path) -> None:
    for number, names in (("9", NAMES), ("10", NAMES[::-1])):
        shutil.copytree(saved, tmp_path / number)
        described = savedmodel.read_metadata(saved) | {"class_names": names}
        (tmp_path / number / "assets" / "metadata.json").write_text(json.dumps(described), encoding="utf-8")
    (tmp_path / "11").mkdir()
    assert artefacts.open(tmp_path).class_names == NAMES[::-1]
    assert artefacts.open(tmp_path / "9").class_names == NAMES


def test_arrays_of_any_kind(saved: Path) -> None:
    predictor = artefacts.open(saved)
    small = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), "uint8")
    large = np.asarray(odd_files.photo(60, 45))
    grey = np.asarray(odd_files.photo(40, 40, "L"))
    expected = predictor.predict(small)
    np.testing.assert_allclose(predictor.predict(list(small)), expected, atol=1e-6)
    np.testing.assert_allclose(predictor.predict(small.astype("float64")), expected, atol=1e-6)
    np.testing.assert_allclose(predictor.predict(small[1]), expected[1:2], atol=1e-6)
    fitted = decode.resize(large, 32, "crop").numpy()
    mixed = predictor.predict(iter([large, grey, fitted]))
    np.testing.assert_allclose(mixed[0], mixed[2], atol=1e-6)
    np.testing.assert_allclose(mixed[1], predictor.predict(np.stack([grey] * 3, -1))[0], atol=1e-6)
    np.testing.assert_allclose(predictor.predict(grey), mixed[1:2], atol=1e-6)
    assert predictor.predict([]).shape == (0, 7)


def test_bad_items_are_answered_in_order(saved: Path, corpus: list[odd_files.OddFile]) -> None:
    predictor = artefacts.open(saved)
    predictions = list(predictor.predictions([odd.path for odd in corpus], batch_size=8))
    assert [answer.item for answer in predictions] == [odd.path for odd in corpus]
    for odd, answer in zip(corpus, predictions, strict=True):
        assert (answer.probabilities is None) == (odd.reason is not None), odd.path.name
        if odd.reason is not None:
            assert odd.reason in answer.problem
    first = next(odd for odd in corpus if odd.reason is not None)
    with pytest.raises(UserError, match=f"{re.escape(first.path.name)}' cannot be used: .*{re.escape(first.reason)}"):
        predictor.predict([odd.path for odd in corpus])


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.zeros((4, 4, 4), "uint8"), r"\[4, 4, 4\]"),
        (np.zeros((0, 4, 3), "uint8"), r"\[0, 4, 3\]"),
        (np.zeros((4, 4, 3), "int64"), "got int64"),
        (np.full((4, 4, 3), np.nan), "NaN or infinite"),
    ],
)
def test_arrays_that_are_no_images(saved: Path, array: np.ndarray, problem: str) -> None:
    with pytest.raises(UserError, match=f"image 0' cannot be used: .*{problem}"):
        artefacts.open(saved).predict([array])


def test_items_are_drawn_as_they_are_needed() -> None:
    drawn = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal drawn
        while True:
            drawn += 1
            yield np.zeros((8, 8, 3), "uint8")

    predictor = Predictor(NAMES, 8, "pad", lambda images: np.zeros((len(images), 7), "float32"))
    predictions = predictor.predictions(endless(), batch_size=4)
    for _ in range(40):
        next(predictions)
    predictions.close()
    assert drawn <= 40 + 2 * 4


def test_what_cannot_be_opened(run: Run, saved: Path, tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "nowhere", "found nothing"),
        (tmp_path, "found something else"),
        (tmp_path / "missing.keras", "found nothing"),
    ):
        with pytest.raises(UserError, match=message):
            artefacts.open(path)
    (tmp_path / "noise.keras").write_bytes(b"noise")
    with pytest.raises(UserError, match=r"noise\.keras cannot be loaded"):
        artefacts.open(tmp_path / "noise.keras")
    with pytest.raises(UserError, match=r"has class_names .* but .* was given: leave it out"):
        artefacts.open(run.path, class_names=("x", "y"))
    with pytest.raises(UserError, match="has image_size 32, but 64 was given"):
        artefacts.open(saved, image_size=64)


def test_a_strangers_network_is_refused(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 3))
    flat = keras.layers.Flatten()(inputs)
    keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(flat)).save(tmp_path / "softmax.keras")
    with pytest.raises(UserError, match="does not end in a layer called logits"):
        artefacts.open(tmp_path / "softmax.keras")
    harmful = keras.layers.Lambda(lambda x: x, name="logits")
    keras.Model(inputs, harmful(flat)).save(tmp_path / "code.keras")
    with pytest.raises(UserError, match=r"code\.keras cannot be loaded: .*arbitrary code execution"):
        artefacts.open(tmp_path / "code.keras")


def test_a_strangers_saved_model_is_refused(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(UserError, match="is not a SavedModel of kerascnn, or is damaged"):
        artefacts.open(tmp_path)


def test_a_run_without_a_model_is_not_ready(tmp_path: Path) -> None:
    run = Run(tmp_path / "young")
    run.path.mkdir()
    run.config_file.write_text(dumps(Config()), encoding="utf-8")
    with pytest.raises(UserError, match=r"run young has no best\.keras yet"):
        artefacts.open(run.path)
