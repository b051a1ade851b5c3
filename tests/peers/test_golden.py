"""Published state dicts of torchvision and timm, loaded through `weights`, give the logits that these libraries computed."""

import functools
import json
from pathlib import Path

import keras
import numpy as np
import pytest

from kerascnn import models, weights
from kerascnn.weights import names
from tests.peers import peer_files, peer_weights

pytestmark = pytest.mark.training

# One for each kind of block and of stem; the others differ in depth and width.
SMALL = ("resnet18", "resnext50_32x4d", "inception_v3")
SMALL_TIMM = ("resnest50", "resnetv2_50", "resnetrs50", "xception")


@functools.cache
def golden() -> dict[str, np.ndarray]:
    return dict(np.load(Path(__file__).parent / "golden.npz"))


def about(arch: str) -> dict:
    return json.loads(golden()[f"{arch}/about"].tobytes())


def archs() -> list[str]:
    return sorted({key.split("/")[0] for key in golden()})


def cases() -> list:
    return [pytest.param(a, marks=[] if a in (*SMALL, *SMALL_TIMM) else [pytest.mark.slow]) for a in archs()]


def relative_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference, in units of the logits' spread."""
    return float(np.abs(ours - theirs).max() / theirs.std())


@pytest.mark.parametrize("arch", cases())
def test_logits_equal_the_peers(arch, tmp_path, record_property):
    peer = about(arch)
    state = {name: peer_weights.tensor(name, tuple(shape), peer["gain"]) for name, shape in peer["state"].items()}
    if peer["library"] == "timm":
        file = peer_files.write_safetensors(tmp_path / "model.safetensors", state)
    else:
        file = peer_files.write_pth(tmp_path / "model.pth", state)
    del state
    network = models.build(arch, (None, None, 3), peer["classes"])
    said = weights.load(network, arch, file)
    assert len(said) == 1 + (arch in names.AUXILIARY)
    values = np.concatenate([network(peer_weights.image(side)[None]) for side in peer["sizes"]])
    difference = relative_difference(values, golden()[f"{arch}/logits"])
    record_property("difference", difference)
    print(f"{arch}: {difference:.1e}")
    keras.backend.clear_session()
    assert difference < 1e-4


def test_there_is_a_golden_file_for_every_arch_that_has_a_peer():
    assert archs() == sorted(arch for arch in models.ARCHS if names.torch(arch))


@pytest.mark.parametrize("arch", archs())
def test_names_are_the_peers(arch):
    """Every layer of the peer's state dict is in the table, auxiliary heads apart, and no other."""
    state = about(arch)["state"]
    layers = {key.rsplit(".", 1)[0] for key in state if not key.startswith(names.AUXILIARY.get(arch, ("no head",)))}
    assert layers == set(names.torch(arch).values())
