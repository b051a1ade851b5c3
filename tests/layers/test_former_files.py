"""Files of earlier versions: their layers' options have other names, and their variables must find their layers.

`former.keras` holds one network with every kind of block, all weights random, written before constructor arguments were
renamed; `former_means.npz` the means over height and width of every layer's output for `images`, as that version computed it.
"""

import json
import zipfile
from pathlib import Path

import keras
import numpy as np

from kerascnn import layers

FILE = Path(__file__).parent / "former.keras"
BLOCKS = {
    "BasicBlock",
    "Bottleneck",
    "PreActBasicBlock",
    "PreActBottleneck",
    "PlainBlock",
    "InceptionBlock",
    "InceptionResidual",
    "XceptionBlock",
    "ArticleResidual",
    "ArticleModule",
    "PoolingBlock",
}


def images():
    return np.random.default_rng(1).uniform(0, 1, (2, 24, 24, 3)).astype("float32")


def test_the_file_has_the_former_names():
    with zipfile.ZipFile(FILE) as archive:
        text = archive.read("config.json").decode()
    written = {layer["class_name"] for layer in json.loads(text)["config"]["layers"]}
    assert written >= BLOCKS
    for former in ("zero_gamma", "squeeze"):
        assert f'"{former}"' in text


def test_a_former_file_computes_what_it_computed():
    network = keras.models.load_model(FILE)
    expected = np.load(FILE.with_name("former_means.npz"))
    found = keras.Model(network.input, {name: network.get_layer(name).output for name in expected.files})(images())
    for name in expected.files:
        means = np.asarray(found[name]).mean(tuple(range(1, found[name].ndim - 1)))
        np.testing.assert_allclose(means, expected[name], rtol=1e-4, atol=1e-5, err_msg=name)
    assert network.get_layer("bottleneck").se_units == 2
    assert network.get_layer("basic").zero_init_residual


def test_former_words_of_a_layer():
    layer = layers.Bottleneck.from_config({"filters": 16, "squeeze": 4, "zero_gamma": True})
    assert (layer.se_units, layer.zero_init_residual) == (4, True)
    assert not {"squeeze", "zero_gamma"} & layer.get_config().keys()
