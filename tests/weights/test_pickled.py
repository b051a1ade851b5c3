"""Files of torch.save and safetensors: real ones, malicious ones, damaged ones."""

import json
from pathlib import Path

import numpy as np
import pytest

from kerascnn.errors import UserError
from kerascnn.weights import pickled, safetensors
from tests.peers import peer_files
from tests.peers.peer_files import ORDERED_DICT, integer, program, text, together

PEERS = Path(peer_files.__file__).parent
FLOATS = np.arange(24, dtype="float32").reshape(2, 3, 4) / 8
SMALL = {
    "float32": FLOATS,
    "float64": FLOATS,
    "float16": FLOATS,
    "bfloat16": FLOATS,  # eighths up to 23 / 8 are exact
    "int64": np.trunc(FLOATS),
    "uint8": np.trunc(FLOATS),
    "transposed": FLOATS.transpose(2, 0, 1),
    "slice": FLOATS[1, 1:, ::2],
    "expanded": np.ones(3),
    "scalar": np.float32(7),
    "empty": np.zeros((0, 3)),
}


# Real files of torch and safetensors


@pytest.mark.parametrize("file", ["small.pth", "small_legacy.pth", "small_wrapped.pth", "small.safetensors"])
def test_real_files_of_torch_and_safetensors(file):
    read = safetensors.read if file.endswith(".safetensors") else pickled.read
    tensors = read(PEERS / file)
    assert tensors.keys() == SMALL.keys()
    for name, expected in SMALL.items():
        values = tensors[name].read()
        assert values.dtype == np.float32
        assert values.shape == tensors[name].shape == expected.shape
        np.testing.assert_array_equal(values, expected)


def test_a_whole_module_is_refused_by_name():
    with pytest.raises(UserError, match=r"refused, it asks for torch\.nn\.modules\.linear\.Linear.*state_dict"):
        pickled.read(PEERS / "small_module.pth")


# Files that bite


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("os.system", lambda file: b"cos\nsystem\n" + together(text(f"touch {file}")) + b"R"),
        ("builtins.exec", lambda file: b"cbuiltins\nexec\n" + together(text(f"open({str(file)!r}, 'w')")) + b"R"),
        ("builtins.getattr", lambda _: b"cbuiltins\ngetattr\n" + together(ORDERED_DICT, text("__init__")) + b"R"),
        ("torch.load", lambda _: b"ctorch\nload\n" + together(text("x")) + b"R"),
        ("collections.OrderedDict.fromkeys", lambda _: b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.fromkeys\x93"),
    ],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_a_malicious_file_is_refused_and_does_nothing(name, call, legacy, tmp_path):
    trace = tmp_path / "trace"
    evil = program({"weight": call(trace)})
    if legacy:
        file = peer_files.write_legacy_pth(tmp_path / "evil.pth", evil)
    else:
        file = peer_files.write_pth(tmp_path / "evil.pth", {}, evil)
    with pytest.raises(UserError, match=rf"refused, it asks for {name}, which"):
        pickled.read(file)
    assert not trace.exists()


def test_the_first_pickle_of_the_old_form_is_guarded_too(tmp_path):
    (tmp_path / "evil.pth").write_bytes(b"cos\nsystem\n" + together(text("true")) + b"R.")
    with pytest.raises(UserError, match=r"refused, it asks for os\.system"):
        pickled.read(tmp_path / "evil.pth")


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [((7,), (1,), 0), ((3,), (3,), 0), ((2, 2), (1, 1), 4), ((2,), (-1,), 3), ((2,), (1,), -1), ((-1,), (1,), 0)],
)
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(shape, strides, offset, tmp_path):
    storage = together(text("storage"), peer_files.STORAGES["float32"], text("0"), text("cpu"), integer(6))
    places = together(*map(integer, shape)), together(*map(integer, strides))
    view = peer_files.REBUILD + together(storage + b"Q", integer(offset), *places, b"\x89", ORDERED_DICT + b")R") + b"R"
    file = peer_files.write_pth(tmp_path / "a.pth", {"w": np.zeros(6, "float32")}, program({"w": view}))
    with pytest.raises(UserError, match="reaches beyond its storage"):
        pickled.read(file)


@pytest.mark.parametrize("target", [ORDERED_DICT, peer_files.REBUILD, peer_files.STORAGES["float32"]])
@pytest.mark.parametrize("state", [b"}" + text("x") + b"K\x01s", b"N}" + text("x") + b"K\x01s\x86"])
def test_what_a_file_may_name_it_cannot_change(target, state, tmp_path):
    """The opcode BUILD sets attributes; on what the allow-list hands out it fails."""
    file = peer_files.write_pth(tmp_path / "a.pth", {}, program({"w": target + state + b"b"}))
    with pytest.raises(UserError, match=r"expected a state dict of torch\.save"):
        pickled.read(file)
    assert not any(hasattr(allowed, "x") for allowed in pickled.ALLOWED.values())


# Damaged files


def test_damaged_files_are_named(tmp_path):
    file = peer_files.write_pth(tmp_path / "a.pth", {"w": FLOATS})
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(UserError, match=r"a\.pth"):
        pickled.read(file)
    legacy = (PEERS / "small_legacy.pth").read_bytes()
    for length in (0, 5, 300, len(legacy) - 4):
        (tmp_path / "b.pth").write_bytes(legacy[:length])
        with pytest.raises(UserError, match=r"b\.pth"):
            pickled.read(tmp_path / "b.pth")
    short = peer_files.write_pth(tmp_path / "c.pth", {"w": FLOATS[0]}, program({"w": peer_files.tensor("0", FLOATS)}))
    with pytest.raises(UserError, match="a storage 0 of 48 bytes for 24 numbers"):
        pickled.read(short)
    with pytest.raises(UserError, match="found no tensor"):
        pickled.read(peer_files.write_pth(tmp_path / "d.pth", {}, program({"epoch": integer(3)})))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"w": {"dtype": "F32", "shape": [6], "data_offsets": [0, 20]}}, "does not fit its position"),
        ({"w": {"dtype": "F32", "shape": [6], "data_offsets": [8, 32]}}, "is it complete"),
        ({"w": {"dtype": "F32", "shape": [-6], "data_offsets": [0, 24]}}, "does not fit its position"),
        ({"w": {"dtype": "F8_E4M3", "shape": [24], "data_offsets": [0, 24]}}, "numbers of type F8_E4M3"),
        ({"w": {"dtype": "F32", "shape": [6]}}, "cannot be read"),
        ([1], "cannot be read"),
    ],
)
def test_damaged_safetensors_are_named(header, words, tmp_path):
    head = json.dumps(header).encode()
    file = tmp_path / "a.safetensors"
    file.write_bytes(len(head).to_bytes(8, "little") + head + bytes(24))
    with pytest.raises(UserError, match=words):
        safetensors.read(file)
    file.write_bytes(b"\xff" * 8 + head)
    with pytest.raises(UserError, match="longer than the file"):
        safetensors.read(file)
