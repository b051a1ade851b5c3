"""Parameters and multiply-adds of every architecture: `../shared/reference/figures.md`, and the papers where it is silent."""

import keras
import pytest

from kerascnn import cost, models

# arch: image size, classes, trainable parameters, statistics of normalizations, MACs in units of the last number
FIGURES = {
    "resnet20": (32, 10, 269_722, 1_376, 40.55, 1e6),
    "resnet32": (32, 10, 464_154, 2_272, 68.86, 1e6),
    "resnet44": (32, 10, 658_586, 3_168, 97.17, 1e6),
    "resnet56": (32, 10, 853_018, 4_064, 125.49, 1e6),
    "resnet110": (32, 10, 1_727_962, 8_096, 252.89, 1e6),
    "preact_resnet164": (32, 10, 1_703_258, 24_224, 244.50, 1e6),
    "wrn16_4": (32, 10, 2_748_890, 3_616, 392.61, 1e6),
    "wrn28_10": (32, 10, 36_479_194, 17_952, 5243.33, 1e6),
    "resnet9": (
        32,
        10,
        6_573_120,
        4_480,
        379.26,
        1e6,
    ),  # not in figures.md: Page's 6,568,640 weights + 2 x 2,240 of norms
    "resnet18": (224, 1000, 11_689_512, 9_600, 1.8141, 1e9),
    "resnet34": (224, 1000, 21_797_672, 17_024, 3.6638, 1e9),
    "resnet50": (224, 1000, 25_557_032, 53_120, 4.0892, 1e9),
    "resnet101": (224, 1000, 44_549_160, 105_344, 7.8014, 1e9),
    "resnet152": (224, 1000, 60_192_808, 151_424, 11.5136, 1e9),
    "resnetv2_50": (224, 1000, 25_549_352, 45_440, 4.0892, 1e9),
    "resnetv2_101": (224, 1000, 44_541_480, 97_664, 7.8014, 1e9),
    "resnetv2_152": (224, 1000, 60_185_128, 143_744, 11.5136, 1e9),
    "resnet18d": (224, 1000, 11_708_744, 9_728, 2.0537, 1e9),
    "resnet34d": (224, 1000, 21_816_904, 17_152, 3.9034, 1e9),
    "resnet50d": (224, 1000, 25_576_264, 53_248, 4.3288, 1e9),
    "resnet101d": (224, 1000, 44_568_392, 105_472, 8.0410, 1e9),
    "resnet152d": (224, 1000, 60_212_040, 151_552, 11.7533, 1e9),
    "resnext50_32x4d": (224, 1000, 25_028_904, 68_224, 4.2305, 1e9),
    "resnext101_32x8d": (224, 1000, 88_791_336, 202_880, 16.4140, 1e9),
    "seresnet50": (224, 1000, 28_088_024, 53_120, 4.0917, 1e9),
    "wide_resnet50_2": (224, 1000, 68_883_240, 68_224, 11.3980, 1e9),
    "wide_resnet101_2": (224, 1000, 126_886_696, 137_856, 22.7531, 1e9),
    "resnetrs50": (160, 1000, 35_691_912, 53_376, 2.2786, 1e9),
    "resnet50_keras": (224, 1000, 25_583_592, 53_120, 3.8580, 1e9),
    "resnetv2_50_keras": (224, 1000, 25_568_360, 45_440, 3.4823, 1e9),
    "resnet_article": (32, 10, 1_765_322, 0, 35.7, 1e6),
    "inception_small": (32, 10, 1_651_114, 3_424, 266.7, 1e6),
    "googlenet": (224, 1000, 7_005_832, 14_560, 1.5827, 1e9),
    "googlenet_tv": (224, 1000, 6_624_904, 14_560, 1.4984, 1e9),
    "bn_inception": (224, 1000, 11_285_224, 20_032, 2.0326, 1e9),
    "inception_v3": (299, 1000, 23_834_568, 34_432, 5.7132, 1e9),
    "inception_v4": (299, 1000, 42_679_816, 63_168, 12.2540, 1e9),
    "inception_resnet_v1": (299, 1000, 22_756_328, 27_040, 6.2064, 1e9),
    "inception_resnet_v2": (299, 1000, 55_843_464, 60_544, 13.1558, 1e9),
    "xception": (299, 1000, 22_855_952, 54_528, 8.3574, 1e9),
    "inception_v3_keras": (299, 1000, 23_817_352, 34_432, 5.7132, 1e9),
    "inception_resnet_v2_keras": (299, 1000, 55_813_192, 60_544, 13.1558, 1e9),
    "xception_keras": (299, 1000, 22_855_952, 54_528, 8.3574, 1e9),
    "inception_article": (32, 10, 5_762_090, 0, 123.2, 1e6),
}
# arch, image size, classes, options, trainable parameters, MACs as above
VARIANTS = [
    ("resnet20", 32, 10, {"shortcut": "B"}, 272_474, 40.81, 1e6),
    ("resnet20", 32, 100, {}, 275_572, 40.56, 1e6),
    ("resnet56", 32, 10, {"shortcut": "B"}, 855_770, 125.75, 1e6),
    ("wrn28_10", 32, 100, {}, 36_536_884, 5243.39, 1e6),
    ("resnet18", 32, 10, {}, 11_173_962, 555.42, 1e6),
    ("resnet50", 32, 1000, {"stem": "large"}, 25_557_032, 0.0855, 1e9),
    ("resnet50", 96, 1000, {}, 25_557_032, 0.7527, 1e9),
    ("resnet50", 160, 1000, {}, 25_557_032, 2.0873, 1e9),
    ("resnetrs50", 224, 1000, {}, 35_691_912, 4.4545, 1e9),
    ("inception_v3", 96, 1000, {}, 23_834_568, 0.3409, 1e9),
    ("resnet_article", 224, 1000, {}, 2_273_192, 1749.8, 1e6),
    ("inception_article", 224, 1000, {}, 5_826_440, 6041.5, 1e6),
]


def equal(macs: int, figure: float, unit: float) -> bool:
    """Whether `macs` rounds to the published figure."""
    digits = len(f"{figure}".partition(".")[2])
    return round(macs / unit, digits) == figure


def test_every_arch_has_its_figures():
    assert FIGURES.keys() == models.ARCHS.keys()


# Deeper or wider copies of rows that the default suite has.
SLOW = {
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet101",
    "resnet110",
    "resnet152",
    "preact_resnet164",
    "resnet34d",
    "resnet101d",
    "resnet152d",
    "resnetv2_101",
    "resnetv2_152",
    "resnext101_32x8d",
    "wide_resnet101_2",
    "inception_resnet_v2",
    "inception_v3_keras",
    "inception_resnet_v2_keras",
    "xception_keras",
}
EVERY = [pytest.param(arch, marks=pytest.mark.slow) if arch in SLOW else arch for arch in FIGURES]


@pytest.mark.parametrize("arch", EVERY)
def test_published_network(arch):
    size, classes, trainable, statistics, macs, unit = FIGURES[arch]
    with cost.weightless():
        model = models.build(arch, (size, size, 3), classes)
        counted = cost.count(model)
        assert_contract(model, arch, classes)
    assert (counted.trainable, counted.params - counted.trainable) == (trainable, statistics)
    assert equal(counted.macs, macs, unit), counted


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


@pytest.mark.parametrize(
    ("arch", "size", "classes", "options", "trainable", "macs", "unit"),
    [row if row[1] in (32, 224) else pytest.param(*row, marks=pytest.mark.slow) for row in VARIANTS],
)
def test_published_variant(arch, size, classes, options, trainable, macs, unit):
    with cost.weightless():
        counted = cost.count(models.build(arch, (size, size, 3), classes, **options))
    assert counted.trainable == trainable
    assert equal(counted.macs, macs, unit), counted


@pytest.mark.parametrize(
    ("arch", "weights", "trainable", "statistics", "macs"),
    [
        ("inception_v3", [0.4], 27_161_264, 36_224, 5.7189),
        ("googlenet", [0.3, 0.3], 13_385_816, 15_072, 1.5910),
        pytest.param("googlenet_tv", [0.3, 0.3], 13_004_888, 15_072, 1.5067, marks=pytest.mark.slow),
    ],
)
def test_auxiliary_heads(arch, weights, trainable, statistics, macs):
    size = models.ARCHS[arch].image_size
    with cost.weightless():
        network = models.build(arch, (size, size, 3), 1000)
        heads = models.auxiliary_heads(arch, network, 1000)
        assert list(heads) == [f"aux{i + 1}" for i in range(len(weights))]
        assert [head.weight for head in heads.values()] == weights
        whole = keras.Model(network.inputs, [network.output, *(head.logits for head in heads.values())])
        counted = cost.count(whole)
        alone = cost.count(network).trainable
    assert (counted.trainable, counted.params - counted.trainable) == (trainable, statistics)
    assert equal(counted.macs, macs, 1e9)
    assert alone == FIGURES[arch][2]
