"""The folded network answers as the trained one, and keeps no normalization that a convolution could take in."""

from collections import Counter

import keras
import networks
import numpy as np
import pytest
import tensorflow as tf

from kerascnn import models
from kerascnn.artefacts import folding

# After and before the activation, with biases beside normalizations, with branches; the rest are the slow proof's.
KINDS = ("resnet20", "wrn16_4", "inception_small")
# Left behind a convolution of their own: not folded yet, in pre-activation networks (the two others: as first seen, slow).
MISSED = {"preact_resnet164": 1, "wrn16_4": 4, "wrn28_10": 1}


def image_size(arch: str) -> int:
    return 32 if models.ARCHS[arch].image_size <= 64 else 75


def normalizations(model: keras.Model) -> tuple[int, int]:
    """Normalizations in the graph of an inference, and those among them that directly follow a convolution of their own."""
    spec = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32)
    graph = tf.function(lambda x: model(x, training=False), input_signature=[spec]).get_concrete_function().graph
    found = [op for op in graph.get_operations() if op.type == "FusedBatchNormV3"]
    behind = [op.inputs[0] for op in found]
    alone = [x for x in behind if x.op.type in ("Conv2D", "BiasAdd", "AddV2") and len(x.consumers()) == 1]
    return len(found), sum(x.op.type != "AddV2" or "conv" in x.op.inputs[0].op.type.lower() for x in alone)


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


def test_a_temperature_divides_the_logits() -> None:
    network = networks.tiny(size=16)
    images = np.random.default_rng(6).integers(0, 256, (4, 16, 16, 3)).astype("float32")
    expected = np.asarray(network(images, training=False)) / 2.5
    np.testing.assert_allclose(folding.calibrated(network, 2.5)(images, training=False), expected, rtol=1e-5, atol=1e-6)
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="temperature above 0"):
            folding.calibrated(network, wrong)
