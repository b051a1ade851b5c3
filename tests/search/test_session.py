"""What a candidate's values mean."""

import itertools
from pathlib import Path

import make_search
import pytest

from kerascnn.optim import DEFAULT_LR
from kerascnn.search.session import Search

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
            assert rate == pytest.approx(DEFAULT_LR["sgd"] * batch * accumulate / 256)
        else:
            assert rate is None, "the optimizer's own"
    # Searches from before go on: the base has the rate that its own batch asks for.
    batch = large.base.fit.batch_size
    assert large.request()["identity"]["optim.lr"] == str(DEFAULT_LR["sgd"] * batch / 256)


@pytest.mark.parametrize("flags", [["--image-size", "96", "--lr", "0.3"], []])
def test_a_given_rate_stays_and_small_images_have_none(tmp_path: Path, flags: list[str]) -> None:
    found = make_search.search(tmp_path, "random", *flags, space=SPACE)
    assert set(rates(found).values()) == {0.3 if flags else None}
    assert found.config_of({}) == found.base
