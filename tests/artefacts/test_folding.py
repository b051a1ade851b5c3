"""The folded network answers as the trained one, and keeps no normalization that a convolution could take in."""

from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerascnn import models
from kerascnn.artefacts import folding
from tests.artefacts import networks

pytestmark = pytest.mark.training

# After and before the activation, with biases beside normalizations, with branches; the rest are the slow proof's.
KINDS = ("resnet20", "wrn16_4", "inception_small")
# Not folded: the first block's normalization of these three, which follows the stem's convolution in another layer.
MISSED = {"preact_resnet164": 1, "wrn16_4": 1, "wrn28_10": 1}


def image_size(arch: str) -> int:
    return 32 if models.ARCHS[arch].image_size <= 64 else 96


def normalizations(model: keras.Model) -> tuple[int, int]:
    """Normalizations in the graph of an inference, and those among them that directly follow a convolution of their own."""
    spec = tf.TensorSpec([2, *model.input_shape[1:]], tf.float32)  # a single image's are not fused everywhere
    graph = tf.function(lambda x: model(x, training=False), input_signature=[spec]).get_concrete_function().graph
    found = [op for op in graph.get_operations() if op.type == "FusedBatchNormV3"]
    behind = [op.inputs[0] for op in found]
    alone = [x for x in behind if len(x.consumers()) == 1]
    return len(found), sum(x.op.type in ("Conv2D", "BiasAdd") or adds_a_bias(x.op) for x in alone)


def adds_a_bias(op: tf.Operation) -> bool:
    """Rather than a branch to a shortcut: the other summand comes from a variable."""
    return op.type == "AddV2" and op.inputs[1].op.type in ("ReadVariableOp", "Reshape")


def check(arch: str) -> Counter[str]:
    size = image_size(arch)
    network = networks.tiny(arch, size)
    before, _ = normalizations(network)
    folded = folding.folded(network)
    left, missed = normalizations(folded)
    images = np.random.default_rng(5).integers(0, 256, (4, size, size, 3)).astype("float32")
    expected = np.asarray(network(images, training=False))
    np.testing.assert_allclose(folded(images, training=False), expected, atol=1e-4 * np.abs(expected).max())
    assert normalizations(network)[0] == before, "the trained network was changed"
    return Counter(before=before, left=left, missed=missed)


@pytest.mark.parametrize("arch", KINDS)
def test_each_kind_of_block(arch: str) -> None:
    counts = check(arch)
    assert counts["before"] > 0
    assert counts["missed"] == MISSED.get(arch, 0)
    assert (counts["left"] > 0) == (arch == "wrn16_4"), "only the head of a pre-activation block follows a sum"


@pytest.mark.slow
@pytest.mark.parametrize("arch", sorted(set(models.ARCHS) - set(KINDS)))
def test_every_other_arch(arch: str) -> None:
    assert check(arch)["missed"] == MISSED.get(arch, 0)


@pytest.mark.parametrize("arch", ["resnet20", "inception_article"])
def test_a_temperature_divides_the_logits(arch: str) -> None:
    network = networks.tiny(arch, size=16 if arch == "resnet20" else 64)
    images = np.random.default_rng(6).integers(0, 256, (4, *network.input_shape[1:])).astype("float32")
    expected = np.asarray(network(images, training=False)) / 2.5
    np.testing.assert_allclose(folding.calibrated(network, 2.5)(images, training=False), expected, rtol=1e-5, atol=1e-6)
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="temperature above 0"):
            folding.calibrated(network, wrong)


def test_features_are_pooled_where_the_network_pools_its_scores() -> None:
    """inception_article has a 1x1 convolution in front of the global average."""
    served = folding.served(networks.tiny("inception_article", size=64))
    assert len(served.output["features"].shape) == 2
