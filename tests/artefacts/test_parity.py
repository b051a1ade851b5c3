"""Reloaded in a process without kerascnn, a SavedModel answers as the network that it was made of."""

from pathlib import Path

import numpy as np
import pytest

from kerascnn import models
from kerascnn.artefacts import parity, savedmodel
from tests.artefacts import networks
from tests.data import odd_files

pytestmark = pytest.mark.training

NAMES = tuple("abcdefg")


# AVX2 chooses other kernels than this machine's best; a network trained in bfloat16 is exported as its float32 twin.
@pytest.mark.parametrize(
    ("arch", "dtype", "isa"), [("resnet20", "float32", None), ("inception_small", "mixed_bfloat16", "AVX2")]
)
def test_a_fresh_process_agrees(arch: str, dtype: str, isa: str | None, tmp_path: Path) -> None:
    network = models.float32_twin(networks.tiny(arch, dtype=dtype))
    version = savedmodel.export(network, tmp_path / arch, class_names=NAMES, image_size=32, resize="crop")
    images = np.random.default_rng(2).integers(0, 256, (40, 32, 32, 3), "uint8")
    files = [odd.path for odd in odd_files.make(tmp_path / "odd") if odd.reason is None]
    found = parity.compare(
        version, network, images=images, files=files, environment={"ONEDNN_MAX_CPU_ISA": isa} if isa else None
    )
    assert found.keys() == {"images", "files"}
    assert found["images"].n == 40
    assert found["files"].n == len(files) > 100
    for agreement in found.values():
        assert agreement.top1 == 1
        assert agreement.max_difference < 1e-5


def test_another_network_does_not_agree(tmp_path: Path) -> None:
    network = networks.tiny(size=16)
    version = savedmodel.export(network, tmp_path / "run", class_names=NAMES, image_size=16, resize="crop")
    for variable in network.variables:
        variable.assign(variable * 1.05)
    images = np.random.default_rng(3).integers(0, 256, (8, 16, 16, 3), "uint8")
    assert parity.compare(version, network, images=images)["images"].max_difference > 1e-3


def test_a_process_that_fails_is_told(tmp_path: Path) -> None:
    network = networks.tiny(classes=2, size=16)
    version = savedmodel.export(network, tmp_path / "run", class_names=("a", "b"), image_size=16, resize="crop")
    nothing_starts = {"PYTHONHASHSEED": "nonsense"}
    with pytest.raises(RuntimeError, match=r"does not run in a fresh process:\n(.*\n)*.*PYTHONHASHSEED"):
        parity.compare(version, network, images=np.zeros((1, 16, 16, 3), "uint8"), environment=nothing_starts)


def test_agreement_in_numbers() -> None:
    expected = np.array([[0.6, 0.4], [0.3, 0.7]], "float32")
    got = np.array([[0.5, 0.5], [0.9, 0.1]], "float32")
    agreement = parity.Agreement.of(expected, got)
    assert agreement.n == 2
    assert agreement.top1 == 0.5
    np.testing.assert_allclose(agreement[2:], (0.6, 0.35), atol=1e-6)
    worst = parity.Agreement.of(expected, np.array([[0.6, 0.4], [np.nan, 0.7]], "float32"))
    assert worst.max_difference == np.inf
    assert worst.top1 == 0.5
    with pytest.raises(ValueError, match="at least one row"):
        parity.Agreement.of(expected[:0], got[:0])
    with pytest.raises(ValueError, match="same probabilities"):
        parity.Agreement.of(expected, got[:, :1])
