"""Weights of networks that are functions: matched by order, with a fresh head for other classes."""

from pathlib import Path

import keras
import numpy as np
import pytest

from kerascnn import models, weights
from kerascnn.architectures import own
from kerascnn.errors import UserError
from kerascnn.models import adapting
from kerascnn.weights import by_order

FILE = Path(__file__).parents[1] / "models" / "own_networks.py"
ARCH = own.pinned(f"{FILE}:build")


def network(classes: int, arch: str = ARCH, **choices) -> keras.Model:
    return models.build(arch, (32, 32, 3), classes, **choices)


def test_another_number_of_classes_keeps_a_fresh_head(tmp_path: Path) -> None:
    theirs, mine = network(5), network(3)
    theirs.save(tmp_path / "best.keras")
    fresh = models.head(mine).get_weights()
    said = weights.load(mine, ARCH, tmp_path / "best.keras")
    assert said == [
        f"weights: {len(mine.weights) - 2} tensors of {len(mine.weights)} from best.keras",
        "head: the file's 5 classes are replaced by a fresh head for 3",
    ]
    for loaded, expected in zip(mine.get_weights()[:-2], theirs.get_weights()[:-2], strict=True):
        np.testing.assert_array_equal(loaded, expected)
    for kept, before in zip(models.head(mine).get_weights(), fresh, strict=True):
        np.testing.assert_array_equal(kept, before)
    again = network(5)
    assert len(weights.load(again, ARCH, tmp_path / "best.keras")) == 1
    np.testing.assert_array_equal(again.get_weights()[-2], theirs.get_weights()[-2])


def test_what_does_not_fit(tmp_path: Path) -> None:
    network(5, width=2.0).save(tmp_path / "wide.keras")
    with pytest.raises(
        UserError, match=r"wide.keras does not fit own_networks.py:build: \d+ tensors have other shapes"
    ):
        weights.load(network(5), ARCH, tmp_path / "wide.keras")
    network(5, own.pinned(f"{FILE}:named")).save(tmp_path / "named.keras")
    with pytest.raises(UserError, match=r"it has 6 tensors, the network \d+"):
        weights.load(network(5), ARCH, tmp_path / "named.keras")
    (tmp_path / "x.keras").write_text("nothing")
    with pytest.raises(UserError, match="cannot be read"):
        weights.load(network(5), ARCH, tmp_path / "x.keras")
    (tmp_path / "x.pth").write_text("nothing")
    with pytest.raises(UserError, match="starts from imagenet"):
        weights.load(network(5), ARCH, tmp_path / "x.pth")
    with pytest.raises(UserError, match="there are no published weights for own_networks"):
        weights.load(network(5), ARCH, "imagenet")


@pytest.mark.training
def test_an_applications_published_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network of Keras with other classes and another size: the same features for the same images."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    given = keras.applications.MobileNetV2(weights=None, alpha=1.0, classes=7, classifier_activation=None)
    rng = np.random.default_rng(0)
    given.set_weights([part + rng.uniform(0, 0.01, part.shape) for part in given.get_weights()])
    donor = adapting.adapted(adapting.functional(given, (224, 224, 3)), "donor")
    arch = own.OwnArch(None, "MobileNetV2")
    path = tmp_path / "models" / "kerascnn-MobileNetV2.npz"
    by_order.keep(donor, path)
    first = path.read_bytes()
    by_order.keep(donor, path)
    assert path.read_bytes() == first, "equal weights have one digest"
    mine = models.build(arch.name, (64, 64, 3), 2)
    assert weights.load(mine, arch.name, "imagenet")[1].startswith("head: the file's 7 classes")
    pixels = rng.uniform(0, 255, (1, 64, 64, 3)).astype("float32")
    theirs = keras.applications.MobileNetV2(weights=None, include_top=False, pooling="avg", input_shape=(64, 64, 3))
    theirs.set_weights(given.get_weights()[:-2])
    expected = theirs(pixels / 127.5 - 1, training=False)
    features = keras.Model(mine.inputs[0], mine.get_layer("pool").output)
    np.testing.assert_allclose(features(pixels, training=False), expected, rtol=1e-3, atol=1e-4)
