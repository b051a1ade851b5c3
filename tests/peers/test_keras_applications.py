"""Weight files of keras.applications, loaded through `weights`, give the logits that its models compute in this process."""

import warnings

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

from kerascnn import models, weights
from kerascnn.weights import names
from tests.peers import peer_weights

pytestmark = pytest.mark.training

# arch, gain of the kernels, image size
CASES = {
    "resnet50_keras": (1.0, 97),
    "resnetv2_50_keras": (1.0, 97),
    "inception_v3_keras": (2.0, 139),
    "inception_resnet_v2_keras": (2.0, 139),
    "xception_keras": (1.0, 139),
}
PREPROCESSING = {
    "resnet50_keras": keras.applications.resnet,
    "resnetv2_50_keras": keras.applications.resnet_v2,
    "inception_v3_keras": keras.applications.inception_v3,
    "inception_resnet_v2_keras": keras.applications.inception_resnet_v2,
    "xception_keras": keras.applications.xception,
}


def filled_peer(arch: str, gain: float, side: int, **options) -> keras.Model:
    shape = {"input_shape": (side, side, 3), "classifier_activation": None, "weights": None, "classes": 10}
    peer = getattr(keras.applications, names.KERAS[arch][0])(**{**shape, **options})
    for variable in peer.weights:
        variable.assign(peer_weights.variable(variable.path, tuple(variable.shape), gain))
    return peer


def save(peer: keras.Model, path) -> None:
    """As `.weights.h5`, `.keras`, or the form of Keras 2, which the published files have (of weights or a whole model)."""
    if path.name.endswith(".weights.h5"):
        peer.save_weights(path)
    elif path.name == "whole.h5":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            peer.save(path)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, peer)
    else:
        peer.save(path)


def differs(peer: keras.Model, network: keras.Model, arch: str, side: int) -> float:
    pixels = np.stack([peer_weights.image(side), 255 - peer_weights.image(side)]).astype("float32")
    theirs = np.asarray(peer(PREPROCESSING[arch].preprocess_input(pixels.copy())))
    return float(np.abs(np.asarray(network(pixels)) - theirs).max() / theirs.std())


@pytest.mark.parametrize(
    ("arch", "file"),
    [
        ("resnetv2_50_keras", "published.h5"),
        ("inception_v3_keras", "published.h5"),
        ("xception_keras", "model.weights.h5"),
        pytest.param("inception_resnet_v2_keras", "published.h5", marks=pytest.mark.slow),
        pytest.param("resnet50_keras", "published.h5", marks=pytest.mark.slow),
        pytest.param("resnet50_keras", "whole.h5", marks=pytest.mark.slow),
        pytest.param("inception_v3_keras", "model.weights.h5", marks=pytest.mark.slow),
        pytest.param("inception_v3_keras", "model.keras", marks=pytest.mark.slow),
        pytest.param("xception_keras", "published.h5", marks=pytest.mark.slow),
        pytest.param("xception_keras", "whole.h5", marks=pytest.mark.slow),
        pytest.param("resnetv2_50_keras", "model.keras", marks=pytest.mark.slow),
    ],
)
def test_logits_equal_keras_applications(arch, file, tmp_path):
    gain, side = CASES[arch]
    peer = filled_peer(arch, gain, side)
    save(peer, tmp_path / file)
    network = models.build(arch, (None, None, 3), 10)
    said = weights.load(network, arch, tmp_path / file)
    difference = differs(peer, network, arch, side)
    print(f"{arch} {file}: {difference:.1e}")
    keras.backend.clear_session()
    assert len(said) == 1
    assert difference < 1e-4


def test_a_published_file_without_a_head_keeps_the_fresh_one(tmp_path):
    peer = filled_peer("xception_keras", 1.0, 139, include_top=False, pooling="avg")
    save(peer, tmp_path / "notop.h5")
    network = models.build("xception_keras", (None, None, 3), 7)
    head = network.get_layer("logits").get_weights()
    said = weights.load(network, "xception_keras", tmp_path / "notop.h5")
    assert said[1] == "head: the file has none, so the network keeps a fresh one"
    for before, after in zip(head, network.get_layer("logits").get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    features = keras.Model(network.input, network.get_layer("pool").output)
    assert differs(peer, features, "xception_keras", 139) < 1e-4
