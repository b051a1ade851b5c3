"""Weight files that would take all memory or all time: each is refused in a message."""

import io
import json
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from kerascnn.errors import UserError
from kerascnn.weights import keras_files, pickled, safetensors
from tests.peers import peer_files
from tests.peers.peer_files import ORDERED_DICT, integer, program, text

pytestmark = pytest.mark.timeout(60)  # what is refused is refused at once; unbounded these would never end
SELF = b"\x80\x02}q\x00" + text("state_dict") + b"q\x01h\x00s."
KEY = b"\x80\x02})" + b"q\x01h\x01\x86" * 60 + b"K\x01s."  # nested pairs: their hash takes 2**60 steps
KEYS = b"\x80\x02}()" + b"q\x01h\x01\x86" * 60 + b"K\x01u."
PAIRS = b"\x80\x02" + ORDERED_DICT + b"(]](\x29" + b"q\x01h\x01\x86" * 60 + b"K\x01eaetR."
MEMO = b"\x80\x02}r" + struct.pack("<I", 0x0FFFFFFF) + b"."
ARRAY = b"\x80\x05\x96" + struct.pack("<Q", 1 << 33) + b"."  # BYTEARRAY8 of 8 GB


def zipped(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", content)
    return path


@pytest.mark.parametrize(
    "evil", [SELF, KEY, KEYS, PAIRS, MEMO, ARRAY], ids=["self", "key", "keys", "pairs", "memo", "array"]
)
@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_never_ends_or_wants_gigabytes_is_refused(evil, legacy, tmp_path):
    file = tmp_path / "evil.pth"
    if legacy:
        peer_files.write_legacy_pth(file, evil)
    else:
        zipped(file, evil)
    with pytest.raises(UserError, match=r"evil\.pth: expected a state dict"):
        pickled.read(file)


@pytest.mark.training
def test_a_pickle_of_too_many_bytes_is_refused(tmp_path):
    long = b"\x80\x02}" + b"N" * pickled.PICKLE_BYTES + b"."
    with pytest.raises(UserError, match="more than 16,777,216"):
        pickled.read(zipped(tmp_path / "bomb.pth", long))
    legacy = peer_files.write_legacy_pth(tmp_path / "long.pth", long)
    with pytest.raises(UserError, match="more than 16,777,216"):
        pickled.read(legacy)


def test_a_storage_that_would_unpack_to_gigabytes_is_refused(tmp_path):
    numbers = np.zeros(1 << 20, "float32")
    with zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", program({"w": peer_files.tensor("0", numbers)}))
        archive.writestr("a/data/0", numbers.tobytes())
    with pytest.raises(UserError, match="would unpack to 4,194,304 bytes"):
        pickled.read(tmp_path / "a.pth")


def test_what_a_dict_brings_along_never_hides_its_own_methods(tmp_path):
    numbers = np.ones(3, "float32")
    state = b"N}(" + text("items") + integer(1) + text("get") + integer(2) + b"u\x86b"
    pickle = program({"w": peer_files.tensor("0", numbers)})[:-1] + state + b"."
    tensors = pickled.read(peer_files.write_pth(tmp_path / "a.pth", {"w": numbers}, pickle))
    np.testing.assert_array_equal(tensors["w"].read(), numbers)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (b"[" * 100_000, "cannot be read"),
        (b" " * (safetensors.HEADER_BYTES + 1), "a header of 8,388,609 bytes"),
        (json.dumps({"w": {"dtype": "F32", "shape": [-2, -3], "data_offsets": [0, 24]}}).encode(), "does not fit"),
        (json.dumps({"w": {"dtype": "F32", "shape": [1.5, 4], "data_offsets": [0, 24]}}).encode(), "does not fit"),
    ],
)
def test_hostile_safetensors_are_refused(header, words, tmp_path):
    file = tmp_path / "a.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(24))
    with pytest.raises(UserError, match=words):
        safetensors.read(file)


def test_links_of_an_hdf5_file_are_not_followed(tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["kernel"] = np.zeros((7, 7))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        layer = file.create_group("conv")
        layer["kernel"] = np.zeros((3, 3))
        layer["root"] = h5py.SoftLink("/")
        layer["other"] = h5py.ExternalLink("secret.h5", "/")
    found = keras_files.read(tmp_path / "a.h5", "resnet18").tensors
    assert {name: tensor.shape for name, tensor in found.items()} == {"conv/kernel": (3, 3)}
    with h5py.File(tmp_path / "cycle.h5", "w") as file:
        file.create_group("conv")["root"] = file["/"]  # a hard link
    with pytest.raises(UserError, match="groups more than 20 deep"):
        keras_files.read(tmp_path / "cycle.h5", "resnet18")


@pytest.mark.parametrize(
    ("config", "weights", "words"),
    [
        (b"[" * 100_000, b"", "cannot be read"),
        (b" " * (keras_files.CONFIG_BYTES + 1), b"", "config.json would unpack to 16,777,217 bytes"),
        (b"{}", bytes(1 << 22), "model.weights.h5 would unpack to 4,194,304 bytes"),
    ],
)
def test_hostile_keras_files_are_refused(config, weights, words, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", config)
        archive.writestr("model.weights.h5", weights)
    with pytest.raises(UserError, match=words):
        keras_files.read(tmp_path / "a.keras", "resnet18")


def test_a_keras_file_of_weights_alone_is_read(tmp_path):
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["conv/kernel"] = np.zeros((3, 3))
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", content.getvalue())
    assert keras_files.read(tmp_path / "a.keras", "resnet18").tensors["conv/kernel"].shape == (3, 3)
