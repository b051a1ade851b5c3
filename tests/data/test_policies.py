"""Policies: strengths against timm's and torchvision's numbers, and how often each operation is drawn."""

import numpy as np
import pytest
import tensorflow as tf

from kerascnn.config.augment_notation import parse
from kerascnn.data import policies
from kerascnn.data.moves import BICUBIC, BILINEAR
from kerascnn.data.operations import NAMES, NUMBERS
from kerascnn.data.policies import POLICIES, RAND_INCREASING
from kerascnn.data.policy_tables import TIMM_PAIRS, TORCHVISION_PAIRS
from kerascnn.data.strengths import AUGMIX, TIMM, TORCHVISION, WIDE

LEVELS = (0, 1, 3, 5, 7.5, 9, 10)
# What timm 1.0.31's LEVEL_TO_ARG returns at LEVELS, with the positive sign; translations as a share of the side.
TIMM_LEVELS = {
    "Rotate": [0.0, 3.0, 9.0, 15.0, 22.5, 27.0, 30.0],
    "Posterize": [0.0, 0.0, 1.0, 2.0, 3.0, 3.0, 4.0],
    "PosterizeIncreasing": [4.0, 4.0, 3.0, 2.0, 1.0, 1.0, 0.0],
    "PosterizeOriginal": [4.0, 4.0, 5.0, 6.0, 7.0, 7.0, 8.0],
    "Solarize": [0.0, 25.0, 76.0, 128.0, 192.0, 230.0, 256.0],
    "SolarizeIncreasing": [256.0, 231.0, 180.0, 128.0, 64.0, 26.0, 0.0],
    "SolarizeAdd": [0.0, 11.0, 33.0, 55.0, 82.0, 99.0, 110.0],
    **{key: [0.1, 0.28, 0.64, 1.0, 1.45, 1.72, 1.9] for key in ("Color", "Contrast", "Brightness", "Sharpness")},
    **{
        key: [1.0, 1.09, 1.27, 1.45, 1.675, 1.81, 1.9]
        for key in ("ColorIncreasing", "ContrastIncreasing", "BrightnessIncreasing", "SharpnessIncreasing")
    },
    **{key: [0.0, 0.03, 0.09, 0.15, 0.225, 0.27, 0.3] for key in ("ShearX", "ShearY")},
    **{key: [0.0, 0.045, 0.135, 0.225, 0.3375, 0.405, 0.45] for key in ("TranslateXRel", "TranslateYRel")},
    # Of gray; Pillow's factor, which `enhance` takes, is the rest.
    "Desaturate": [0.5, 0.55, 0.65, 0.75, 0.875, 0.95, 1.0],
    "GaussianBlur": [0.1, 0.29, 0.67, 1.05, 1.525, 1.81, 2.0],
}


def argument(table, name, x, v=0.0, side=100):
    return table[name].argument(tf.constant(x, tf.float32), tf.fill([len(x)], v), side).numpy()


@pytest.mark.parametrize("name", TIMM_LEVELS)
def test_strengths_are_timm_s(name):
    expected = np.array(TIMM_LEVELS[name])
    expected = 100 * expected if name.startswith("Translate") else 1 - expected if name == "Desaturate" else expected
    np.testing.assert_allclose(argument(TIMM, name, np.array(LEVELS) / 10), expected, rtol=1e-6, atol=1e-6)


def test_half_of_the_signs_are_negative_as_in_timm():
    for name in ("Rotate", "ShearX", "TranslateYRel"):
        np.testing.assert_array_equal(argument(TIMM, name, [0.9], v=0.51), -argument(TIMM, name, [0.9], v=0.5))
    assert argument(TIMM, "ColorIncreasing", [0.9], v=0.9) == pytest.approx(0.19)
    assert argument(TIMM, "ColorIncreasing", [1.0], v=0.9) == pytest.approx(0.1)  # timm's least
    assert argument(AUGMIX, "TranslateXRel", [1.0]) == pytest.approx(30)


def test_strengths_are_torchvision_s():
    bins = np.arange(31)
    x = bins / 30
    expected = {
        "ShearX": np.linspace(0, 0.99, 31),
        "TranslateY": np.floor(np.linspace(0, 32, 31) + 1e-6),
        "Rotate": np.linspace(0, 135, 31),
        "Sharpness": 1 + np.linspace(0, 0.99, 31),
        "Posterize": 8 - np.round(bins / 5),
        "Solarize": np.linspace(255, 0, 31),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(argument(WIDE, name, x), values, rtol=1e-5, atol=1e-4)
    nine = [9 / 30]
    assert argument(TORCHVISION, "TranslateX", nine, side=224) == int(150 / 331 * 224 * 0.3)
    assert argument(TORCHVISION, "Posterize", nine) == 7
    assert argument(TORCHVISION, "Rotate", nine) == pytest.approx(9)


def steps(word, count=6000, side=64):
    policy = POLICIES[parse(word).name](parse(word))
    u = tf.constant(np.random.default_rng(0).random((count, policy.draws)), tf.float32)
    return [column.numpy() for column in policy.steps(u, side)]


def test_rand_draws_each_operation_equally_often_with_its_probability():
    operation, _, smooth = steps("rand-m9-mstd0.5-inc1-n2")
    assert operation.shape == (6000, 2)
    assert (operation == 0).mean() == pytest.approx(0.5, abs=0.02)
    counts = np.bincount(operation[operation > 0], minlength=len(NAMES))
    drawn = {TIMM[name].operation for name in RAND_INCREASING}
    assert {NAMES[i] for i in np.flatnonzero(counts)} == drawn
    assert counts[counts > 0] / counts.sum() == pytest.approx(1 / 15, abs=0.012)
    assert set(np.unique(smooth)) == {BILINEAR, BICUBIC}
    assert (steps("rand-p1")[0] > 0).all()


def test_magnitudes_are_normal_around_m_and_cut():
    u = tf.constant(np.random.default_rng(0).random(20000), tf.float32)
    x = policies.magnitudes(5, 0.5, 10, u).numpy() * 10
    assert (x.mean(), x.std()) == (pytest.approx(5, abs=0.02), pytest.approx(0.5, abs=0.02))
    assert policies.magnitudes(9.9, 3.0, 10, u).numpy().max() == 1
    uniform = policies.magnitudes(6, 101, 10, u).numpy() * 10
    assert (uniform.min() < 0.1, uniform.max() > 5.9, uniform.max() <= 6) == (True, True, True)
    np.testing.assert_allclose(policies.magnitudes(9, 0.0, 10, u).numpy(), 0.9)
    extremes = policies.magnitudes(9, 0.5, 10, tf.constant([0.0, 1 - 2**-24])).numpy()
    assert np.isfinite(extremes).all()


def test_weighted_operations_come_without_replacement_and_by_weight():
    operation, _, _ = steps("rand-n2-p1-tweights")
    assert (operation[:, 0] != operation[:, 1]).all()
    weights = policies.RAND_WEIGHTS
    first = np.bincount(operation[:, 0], minlength=len(NAMES)) / len(operation)
    total = sum(weights.values())
    for name in ("Rotate", "ShearX", "TranslateYRel"):
        assert first[NUMBERS[TIMM[name].operation]] == pytest.approx(weights[name] / total, abs=0.02)


def test_torchvision_s_rand_always_has_n_operations_at_one_magnitude():
    operation, argument_, smooth = steps("ra-m15-n3")
    assert operation.shape[1] == 3
    assert (operation == 0).mean() == pytest.approx(1 / 14, abs=0.01)  # Identity
    turned = abs(argument_[operation == NUMBERS["rotate"]])
    np.testing.assert_allclose(turned, 15.0, rtol=1e-5)
    assert (smooth == BILINEAR).all()
    assert NUMBERS["invert"] not in operation


def test_trivial_has_one_operation_at_any_of_31_magnitudes():
    operation, argument_, _ = steps("ta_wide", count=20000)
    assert operation.shape[1] == 1
    turned = np.unique(np.round(abs(argument_[operation == NUMBERS["rotate"]]), 3))
    np.testing.assert_allclose(turned, np.round(np.linspace(0, 135, 31), 3), atol=2e-3)


@pytest.mark.parametrize("name", TIMM_PAIRS | TORCHVISION_PAIRS)
def test_policies_have_25_pairs_of_known_operations(name):
    pairs = (TIMM_PAIRS | TORCHVISION_PAIRS)[name]
    table, most = (TIMM, 10) if name in TIMM_PAIRS else (TORCHVISION, 9)
    assert len(pairs) == 25
    for one in (one for pair in pairs for one in pair):
        assert one.name in table
        assert 0 <= one.probability <= 1
        assert 0 <= one.magnitude <= most
    operation, _, _ = steps(f"aa-{name}")
    expected = np.mean([one.probability for pair in pairs for one in pair])
    assert (operation > 0).mean() == pytest.approx(expected, abs=0.02)


def test_autoaugment_keeps_the_order_and_strengths_of_its_pairs():
    """The paper's first pair for CIFAR-10: invert, then contrast at 6 of 9."""
    policy = POLICIES["aa"](parse("aa-cifar10"))
    drawn = policy.steps(tf.zeros([1, policy.draws]), 32)
    assert [NAMES[i] for i in drawn.operation.numpy()[0]] == ["invert", "contrast"]
    assert drawn.argument.numpy()[0, 1] == pytest.approx(1 + 0.9 * 6 / 9)
    first = TORCHVISION_PAIRS["imagenet"][0]
    assert first == (("Posterize", 0.4, 8.0), ("Rotate", 0.6, 9.0))
    assert argument(TORCHVISION, "Posterize", [8 / 9]) == 4
    assert TIMM_PAIRS["v0r"][12][0] == ("PosterizeIncreasing", 0.4, 6.0)


def test_single_operations_have_their_probability_and_bounds():
    operation, argument_, _ = steps("rotate-m20-p0.4")
    assert (operation > 0).mean() == pytest.approx(0.4, abs=0.03)
    assert -20 <= argument_.min() < -19
    assert 19 < argument_.max() <= 20
    assert set(steps("posterize-b3")[1].ravel()) == {3.0}
    blur = steps("blur-low1-high1.5")[1]
    assert 1 <= blur.min() < blur.max() <= 1.5


def test_three_augment_has_one_of_three():
    operation, argument_, _ = steps("3a")
    shares = np.bincount(operation[:, 0], minlength=len(NAMES)) / len(operation)
    for name in ("solarize", "color", "blur"):
        assert shares[NUMBERS[name]] == pytest.approx(1 / 3, abs=0.03)
    assert set(argument_[operation == NUMBERS["solarize"]]) == {128.0}
    assert set(argument_[operation == NUMBERS["color"]]) == {0.0}
    blur = argument_[operation == NUMBERS["blur"]]
    assert (blur.min() < 0.15, blur.max() > 1.95) == (True, True)
