"""The notation of augmentations: what is read, and what is said of what is not."""

import pytest

from kerascnn.config import Augment
from kerascnn.config.augment_notation import NOTATIONS, parse
from kerascnn.config.section import FieldError


def test_timm_s_notation_is_read():
    written = parse("rand-m9-mstd0.5-inc1-n3")
    assert (written.name, written["m"], written["mstd"], written.whole("n"), written.whole("inc")) == (
        "rand",
        9,
        0.5,
        3,
        1,
    )
    assert (written["p"], written["mmax"], written.variant) == (0.5, 10, "tall")
    assert parse("rand-tweights-m7").variant == "tweights"


@pytest.mark.parametrize("name", NOTATIONS)
def test_every_name_stands_alone(name):
    assert Augment(augment=(name, "flip")).augment == (name, "flip")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("rnd-m9",), "'rnd-m9' is none of auto, none, flip"),
        (("rand-m9-q3",), "'q3' is no part of rand, which takes tall, tweights, t3a, t3aw, mN (magnitude)"),
        (("rand-m9.5",), "expected a whole number from 0 to 100 after m, got 9.5"),
        (("rand-p2",), "expected a number from 0 to 1 after p, got 2"),
        (("rand-m9-m8",), "'m8' gives m a second time"),
        (("ta_wide-m9",), "'m9' is no part of ta_wide, which takes nothing after it"),
        (("aa-cifar10-mstd0.5",), "mstd belongs to timm's policies: v0, v0r, original, originalr"),
        (("flip-p0.5",), "flip takes nothing after its name"),
        (("erase-low0.5-high0.2",), "low (0.5) must not exceed high (0.2)"),
        (("rand-m9", "flip", "rand-m5"), "each augmentation once"),
        (("rand-",), "'' is no part of rand"),
    ],
)
def test_what_is_wrong_is_said(words, message):
    with pytest.raises(FieldError) as raised:
        Augment(augment=words)
    assert message in str(raised.value)
