"""Parameters and multiply-adds of every architecture: `../shared/reference/figures.md`, and the papers where it is silent."""

import keras
import pytest

from kerascnn import cost, models

# arch: image size, classes, trainable parameters, statistics of normalizations, MACs in units of the last number
FIGURES = {
    "resnet20": (32, 10, 269_722, 1_376, 40.55, 1e6),
    "resnet18": (224, 1000, 11_689_512, 9_600, 1.8141, 1e9),
    "resnet50": (224, 1000, 25_557_032, 53_120, 4.0892, 1e9),
    "inception_small": (32, 10, 1_651_114, 3_424, 266.7, 1e6),
    "inception_v3": (299, 1000, 23_834_568, 34_432, 5.7132, 1e9),
}
# arch, image size, classes, options, trainable parameters, MACs as above
VARIANTS = [
    ("resnet20", 32, 10, {"shortcut": "B"}, 272_474, 40.81, 1e6),
    ("resnet20", 32, 100, {}, 275_572, 40.56, 1e6),
    ("resnet18", 32, 10, {}, 11_173_962, 555.42, 1e6),
    ("resnet50", 32, 1000, {"stem": "large"}, 25_557_032, 0.0855, 1e9),
    ("resnet50", 96, 1000, {}, 25_557_032, 0.7527, 1e9),
    ("resnet50", 160, 1000, {}, 25_557_032, 2.0873, 1e9),
    ("inception_v3", 96, 1000, {}, 23_834_568, 0.3409, 1e9),
    ("inception_v3", 128, 1000, {}, 23_834_568, 0.7327, 1e9),
]


def equal(macs: int, figure: float, unit: float) -> bool:
    """Whether `macs` rounds to the published figure."""
    digits = len(f"{figure}".partition(".")[2])
    return round(macs / unit, digits) == figure


def test_every_arch_has_its_figures():
    assert FIGURES.keys() == models.ARCHS.keys()


@pytest.mark.parametrize("arch", FIGURES)
def test_published_network(arch):
    size, classes, trainable, statistics, macs, unit = FIGURES[arch]
    model = models.build(arch, (size, size, 3), classes)
    counted = cost.count(model)
    assert (counted.trainable, counted.params - counted.trainable) == (trainable, statistics)
    assert equal(counted.macs, macs, unit), counted
    assert_contract(model, arch, classes)


def assert_contract(model, arch, classes):
    names = [layer.name for layer in model.layers]
    row = models.ARCHS[arch]
    stages = [name for name in names if name.startswith("stage") and "_" not in name]
    assert stages == [f"stage{i}" for i in range(1, len(stages) + 1)]
    assert len(stages) >= 3
    order = [name for name in names if name in ("preprocess", "stem", "pool", "logits") or name in stages]
    assert order == ["preprocess", "stem", *stages, "pool", "logits"]
    assert ("dropout" in names) == (row.dropout > 0)
    assert model.name == arch
    assert model.output_shape == (None, classes)
    assert model.outputs[0].dtype == "float32"
    assert model.inputs[0].dtype == "float32"


@pytest.mark.parametrize(("arch", "size", "classes", "options", "trainable", "macs", "unit"), VARIANTS)
def test_published_variant(arch, size, classes, options, trainable, macs, unit):
    counted = cost.count(models.build(arch, (size, size, 3), classes, **options))
    assert counted.trainable == trainable
    assert equal(counted.macs, macs, unit), counted


def test_auxiliary_head_of_inception_v3():
    network = models.build("inception_v3", (299, 299, 3), 1000)
    heads = models.auxiliary_heads("inception_v3", network, 1000)
    assert [(name, head.weight) for name, head in heads.items()] == [("aux1", 0.4)]
    whole = keras.Model(network.inputs, [network.output, *(head.logits for head in heads.values())])
    counted = cost.count(whole)
    assert (counted.trainable, counted.params - counted.trainable) == (27_161_264, 36_224)
    assert equal(counted.macs, 5.7189, 1e9)
    assert cost.count(network).trainable == 23_834_568
