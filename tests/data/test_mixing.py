"""Mixup and cutmix as timm has them: who is mixed with whom, how often, and until when."""

import numpy as np
import pytest
import tensorflow as tf

from kerascnn.config import Augment, Data
from kerascnn.data import load, mixing, pipeline, sampling
from kerascnn.data.sampling import PLAIN, Sampling

COUNT, SIZE = 400, 8
IMAGES = tf.constant(np.random.default_rng(0).integers(0, 256, (COUNT, SIZE, SIZE, 3), dtype="uint8"))


def mixed(names=("mixup",), epoch=0, stride=1, **options):
    index = tf.range(COUNT, dtype=tf.int64)
    epochs = tf.fill([COUNT], tf.constant(epoch, tf.int64))
    section = Augment(mixup=0.8, **options)
    return [part.numpy() for part in mixing.mix(IMAGES, names, section, 0, epochs, index, stride)]


def blended(share, other):
    share = share[:, None, None, None]
    return IMAGES.numpy() * share + other * (1 - share)


@pytest.mark.parametrize("mode", ["batch", "pair", "elem"])
def test_timm_s_modes_mix_an_image_with_the_one_from_the_end(mode):
    images, share = mixed(mix_mode=mode)
    assert abs(images - blended(share, IMAGES.numpy()[::-1])).max() <= 0.51
    different = len(np.unique(share))
    assert different == 1 if mode == "batch" else different > COUNT // 3
    assert (share == share[::-1]).all() == (mode != "elem")


def test_a_pair_swaps_the_same_square():
    images, share = mixed(("cutmix",), mix_mode="pair")
    pasted = (images != IMAGES.numpy()).any(-1)
    np.testing.assert_array_equal(pasted, pasted[::-1])
    np.testing.assert_array_equal(share, share[::-1])


def test_probability_and_switch():
    images, share = mixed(mix_prob=0.3)
    whole = share == 1
    assert whole.mean() == pytest.approx(0.7, abs=0.08)
    np.testing.assert_array_equal(images[whole], IMAGES.numpy()[whole])
    for names in (("mixup", "cutmix"), ("cutmix", "mixup")):
        both = mixed(names, mix_switch_prob=0.2)[1]
        by_cutmix = both == mixed(("cutmix",))[1]
        assert by_cutmix.mean() == pytest.approx(0.2, abs=0.07)
    assert (mixed(("mixup", "cutmix"), mix_switch_prob=1.0)[1] == mixed(("cutmix",))[1]).all()


def test_mixing_stops_after_its_epochs_also_where_showings_are_counted():
    for epoch, stride, over in ((1, 1, False), (2, 1, True), (5, 3, False), (6, 3, True)):
        images, share = mixed(epoch=epoch, stride=stride, mix_epochs=2)
        assert (share == 1).all() == over
        assert (images == IMAGES.numpy()).all() == over


@pytest.mark.parametrize("sampled", [PLAIN, Sampling(repeats=3), Sampling("balanced"), Sampling("sqrt", 2)])
def test_the_stride_of_showings_gives_the_epoch(sampled):
    labels = np.random.default_rng(0).choice(3, 90, p=[0.7, 0.2, 0.1])
    epoch_of, stride = sampling.epoch_of(sampled, labels, 0, 16), sampling.stride(sampled, labels)
    for number in (0, 1, 7):
        showing, _ = epoch_of(tf.constant(number, tf.int64))
        assert (showing.numpy() // stride == number).all()


@pytest.mark.parametrize("mode", ["neighbor", "pair"])
def test_labels_are_mixed_with_those_of_the_same_image(mode):
    splits = load(Data())
    section = Augment(augment=("mixup",), mix_mode=mode)
    plain = next(iter(pipeline.training(splits, augment=Augment(augment=("none",)), seed=0, batch_size=16)))
    images, targets, _ = next(iter(pipeline.training(splits, augment=section, seed=0, batch_size=16)))
    partner = np.roll(np.arange(16), 1) if mode == "neighbor" else np.arange(16)[::-1]
    own, other = plain[1].numpy().argmax(1), plain[1].numpy()[partner].argmax(1)
    pixels, before = images.numpy().astype(float), plain[0].numpy().astype(float)
    for i in np.flatnonzero(own != other):
        share = targets.numpy()[i, own[i]]
        assert targets.numpy()[i, other[i]] == pytest.approx(1 - share, abs=1e-5)
        assert abs(pixels[i] - (share * before[i] + (1 - share) * before[partner[i]])).max() <= 0.51
