"""One network of several: its probabilities are the mean of theirs, in every form in which it is kept."""

from pathlib import Path

import keras
import numpy as np
import pytest
from scipy.special import expit, logit, softmax

from kerascnn import models
from kerascnn.artefacts import folding
from kerascnn.artefacts.opening import load_keras
from kerascnn.layers import EnsembleLogits
from kerascnn.models import cost
from kerascnn.models.ensemble import ensemble, members_of
from tests.artefacts import networks

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype("float32")


@pytest.fixture(scope="module")
def members() -> list[keras.Model]:
    found = [networks.tiny("resnet9", size=16, classes=3) for _ in range(2)]
    head = models.head(found[1])
    head.kernel.assign(np.roll(head.kernel.numpy(), 1, axis=1))
    return found


def test_probabilities_are_the_mean_and_so_are_those_of_its_copies(members, tmp_path: Path) -> None:
    expected = np.mean([softmax(one(IMAGES), axis=1) for one in members], axis=0)
    made = ensemble(members)
    made.save(tmp_path / "ensemble.keras")
    for copy in (made, load_keras(tmp_path / "ensemble.keras"), models.float32_twin(made), folding.folded(made)):
        np.testing.assert_allclose(softmax(copy(IMAGES), axis=1), expected, atol=1e-5)
    assert (members_of(made), members_of(members[0])) == (2, 1)
    served = folding.served(made)(IMAGES)
    assert served["features"].shape == (4, 2 * members[0].get_layer("pool").output.shape[-1])
    np.testing.assert_allclose(served["probabilities"], expected, atol=1e-5)


def test_it_costs_as_much_as_its_members(members) -> None:
    one, all_of_them = cost.count(members[0]), cost.count(ensemble(members))
    assert (all_of_them.params, all_of_them.macs) == (2 * one.params, 2 * one.macs)


def test_logits_of_sure_networks_stay_finite_and_exact() -> None:
    logits = np.array([[300.0, 0.0, -300.0, 400.0, 0.0, -200.0]], "float32")
    found = np.asarray(EnsembleLogits(2)(logits))[0]
    assert found.tolist() == pytest.approx([0, -300 - np.log(2), -600], rel=1e-6)
    several = np.random.default_rng(0).normal(0, 3, (5, 8)).astype("float32")
    mean = expit(several.reshape(5, 2, 4)).mean(axis=1)
    np.testing.assert_allclose(EnsembleLogits(2, "sigmoid")(several), logit(mean), rtol=1e-3, atol=1e-4)


def test_networks_of_other_forms_are_refused(members) -> None:
    with pytest.raises(ValueError, match="two networks or more of one form"):
        ensemble([members[0], networks.tiny("resnet9", size=16, classes=4)])
    with pytest.raises(ValueError, match="two networks or more of one form"):
        ensemble(members[:1])
