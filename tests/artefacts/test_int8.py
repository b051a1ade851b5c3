"""Every network in 8 bits: exported, run by XNNPACK on this machine, and of one mind with the network that it was made of."""

import contextlib
from pathlib import Path

import keras
import numpy as np
import pytest

from kerascnn import artefacts, models
from kerascnn.artefacts import folding, litert, litert_graft, parity, run_artefact
from kerascnn.artefacts.file_rules import FileRules, SetFacts, UnknownFacts
from kerascnn.artefacts.fresh import Outputs
from kerascnn.artefacts.opening import probabilities_of
from kerascnn.errors import UserError
from kerascnn.scoring.prediction_sets import SetRule
from tests.artefacts import networks

pytestmark = pytest.mark.training

QUICK = ("resnet20", "resnet18")  # without and with a padded maximum in the stem
NARROW = 0.25


def network(arch: str) -> tuple[keras.Model, int]:
    """A narrow network for tens of pixels, whose answers depend on its input."""
    size = 32 if models.ARCHS[arch].image_size <= 64 else 96
    return networks.tiny(arch, size), size


def check(arch: str, folder: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra litert")
    model, size = network(arch)
    # Smooth images, which differ as photos do.
    rng = np.random.default_rng(7)
    images = np.stack([np.kron(rng.integers(0, 256, (4, 4, 3)), np.ones((size // 4, size // 4, 1))) for _ in range(24)])
    path = folder / "model_int8.tflite"
    litert.write(folding.served(folding.folded(model)), path, "int8", images.astype("uint8"))
    answered = parity.ask("litert", path, images.astype("float32"))
    assert answered.note == "", "XNNPACK takes it"
    expected = parity.batched(probabilities_of(model), images.astype("float32"))
    spread = np.abs(expected - expected.mean(0)).max()
    assert spread > 0.01, "a network that always answers the same would prove nothing"
    assert np.abs(answered.images - expected).mean() < 0.25 * spread
    check_graft(path, images.astype("float32"), answered)


def check_graft(path: Path, images: np.ndarray, before: Outputs) -> None:
    """Further outputs leave the others as they are, bit for bit, and follow from them exactly."""
    limit = float(np.quantile(before.images, 0.8))
    sets, unknown = SetFacts(SetRule("lac", 0.9, 1 - limit), {}), UnknownFacts(1.0, 1.0, {"share": 0.95})
    litert_graft.add(path, FileRules(sets, unknown))
    after = parity.ask("litert", path, images)
    np.testing.assert_array_equal(after.images, before.images)
    np.testing.assert_array_equal(after.further["in_set"], before.images >= np.float32(limit))
    np.testing.assert_array_equal(after.further["known"], after.further["known_score"] >= 1)
    order = np.argsort(after.further["known_score"])
    assert after.further["known_score"][order[-1]] > after.further["known_score"][order[0]]
    assert {"in_set", "known", "known_score"} < set(litert.reader(path)[1])
    last = run_artefact.interpreted(str(path), 1)[0].get_output_details()[-3:]  # in the order of the file
    classes = before.images.shape[1]
    expected = [([1, classes], np.bool_), ([1], np.bool_), ([1], np.float32)]
    assert [(each["shape"].tolist(), each["dtype"]) for each in last] == expected


@pytest.mark.parametrize("arch", QUICK)
def test_eight_bits_run(arch: str, tmp_path: Path) -> None:
    check(arch, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("arch", sorted(set(models.ARCHS) - set(QUICK)))
def test_eight_bits_of_every_network_run(arch: str, tmp_path: Path) -> None:
    check(arch, tmp_path)


def test_a_file_with_ranges_of_no_network_is_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As exports of version 0.1 were: the stem's maximum padded with -3e38, and one range of 8 bits for that and all else."""
    pytest.importorskip("ai_edge_litert", reason="needs the extra litert")
    model, size = network("resnet18")
    path = tmp_path / "model_int8.tflite"
    monkeypatch.setattr(litert, "finite_padding", contextlib.nullcontext)
    for layer in model._flatten_layers(include_self=False):  # Keras has no public name for nested layers
        if hasattr(layer, "gamma") and "block" in layer.path:
            layer.gamma.assign(0 * layer.gamma)
    images = np.random.default_rng(0).integers(0, 256, (4, size, size, 3)).astype("uint8")
    litert.write(folding.served(folding.folded(model)), path, "int8", images)
    with pytest.raises(UserError, match=r"8-bit ranges are too wide for a network .*: export it again"):
        artefacts.open(path)
