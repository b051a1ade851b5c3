"""What a candidate's values mean."""

import itertools
from pathlib import Path

import pytest

from kerascnn.config.defaults import LEARNING_RATE, sgd_batch
from kerascnn.search.search import Search
from tests.search import make_search

SPACE = """
[parameters]
"optim.optimizer" = { choices = ["sgd", "adamw", "muon"] }
"fit.batch_size" = { choices = [64, 128] }
"fit.accumulate" = { choices = [1, 2] }
"""
CHOICES = list(itertools.product(("sgd", "adamw", "muon"), (64, 128), (1, 2)))


def rates(search: Search) -> dict[tuple[str, int, int], float | None]:
    names = [parameter.name for parameter in search.space.parameters]
    return {values: search.config_of(dict(zip(names, values, strict=True))).optim.lr for values in CHOICES}


def test_a_rate_that_nobody_gave_is_that_of_the_candidates_optimizer_and_batch(tmp_path: Path) -> None:
    large = make_search.search(tmp_path, "random", "--image-size", "96", space=SPACE)
    for (optimizer, batch, accumulate), rate in rates(large).items():
        if optimizer == "sgd":
            assert rate == pytest.approx(LEARNING_RATE["sgd"] * batch * accumulate / sgd_batch(96))
        else:
            assert rate == {"adamw": None, "muon": LEARNING_RATE["muon"]}[optimizer], "None: the optimizer's own"
    batch = large.base.fit.batch_size
    assert large.request()["identity"]["optim.lr"] == str(LEARNING_RATE["sgd"] * batch / sgd_batch(96))


def test_a_given_rate_stays(tmp_path: Path) -> None:
    found = make_search.search(tmp_path, "random", "--image-size", "96", "--lr", "0.3", space=SPACE)
    assert set(rates(found).values()) == {0.3}
    assert found.config_of({}) == found.base


def test_small_images_follow_the_batch_too(tmp_path: Path) -> None:
    found = make_search.search(tmp_path, "random", space=SPACE)
    sgd = {(batch, times): rate for (optimizer, batch, times), rate in rates(found).items() if optimizer == "sgd"}
    assert sgd == {(64, 1): None, (64, 2): 0.2, (128, 1): 0.2, (128, 2): 0.4}, "None: 0.1, the optimizer's own"
