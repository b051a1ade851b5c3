"""Archs that are functions, read from their source: neither the file nor Keras is imported."""

import subprocess
import sys
from pathlib import Path

import pytest

from kerascnn.architectures import own, tables
from kerascnn.config import Config
from kerascnn.errors import UserError
from kerascnn.runs.identity import identity

FILE = """
import keras
from functools import partial

def build(input_shape, num_classes, width=1.0, *, dropout=0.5):
    raise AssertionError("nobody runs this")

def plain(input_shape, num_classes):
    pass

small = partial(build, width=0.5)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "net.py"
    path.write_text(FILE)
    return path


def test_names_are_shown_without_folder_and_digest(file: Path) -> None:
    arch = f"{file}:build"
    assert own.shown(arch) == own.shown(own.pinned(arch)) == "net.py:build"
    assert own.shown("keras:VGG16") == "keras:VGG16"
    assert own.shown("resnet20") == "resnet20"
    assert own.placeless(own.pinned(arch)) == f"net.py:build{own.PIN}{own.digest(FILE.encode())}"
    assert own.parse("resnet20") is None


@pytest.mark.parametrize(
    ("name", "width", "dropout", "drop_path"),
    [("build", "width", "dropout", None), ("plain", None, None, None), ("small", None, None, None)],
)
def test_arguments_stand_in_the_source(file: Path, name: str, width, dropout, drop_path) -> None:
    arch = own.parse(f"{file}:{name}")
    assert arch is not None
    own.check(arch)
    assert [own.takes(arch, option) for option in ("width", "dropout", "drop_path")] == [width, dropout, drop_path]


def test_applications_are_known_without_keras() -> None:
    code = """
import sys
from kerascnn.architectures import own, tables
assert tables.resolve("keras:MobileNetV3Small", 224) == "keras:MobileNetV3Small"
assert own.takes(own.parse("keras:MobileNetV3Small"), "width") == "alpha"
assert own.takes(own.parse("keras:EfficientNetV2B0"), "width") is None
assert not {"keras", "tensorflow"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ("{}:bulid", "no function 'bulid' in .*net.py: it has .*net.py:build, .*net.py:plain"),
        ("{}", "no function is named in"),
        ("{}x.py:build", "cannot read .*x.py"),
        ("keras:MobilNet", "no such network; perhaps you meant keras:MobileNet"),
        ("keras:", "no such network"),
    ],
)
def test_what_is_not_there_is_one_message(file: Path, arch: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        tables.resolve(arch.format(file), 64)


def test_a_file_that_is_not_python(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("def build(:\n")
    with pytest.raises(UserError, match="is not Python"):
        tables.resolve(f"{tmp_path / 'net.py'}:build", 64)


@pytest.mark.parametrize(
    ("field", "flag"),
    [
        ({"stem": "small"}, "--stem"),
        ({"filters": {"stage1": 8}}, "--filters"),
        ({"zero_init_residual": True}, "--zero-init-residual"),
        ({"whiten": True}, "--whiten"),
        ({"aux_weight": 0.3}, "--aux-weight"),
        ({"width": 2.0}, "--width: net.py:plain takes no argument width or alpha"),
        ({"dropout": 0.1}, "--dropout: net.py:plain takes no argument dropout or dropout_rate"),
    ],
)
def test_options_that_a_function_does_not_take(file: Path, field: dict, flag: str) -> None:
    arch = own.parse(f"{file}:plain")
    assert arch is not None
    own.check_options(arch, Config().model)
    with pytest.raises(UserError, match=flag):
        own.check_options(arch, Config(model=field).model)


def test_options_that_a_function_takes(file: Path) -> None:
    arch = own.parse(f"{file}:build")
    assert arch is not None
    section = Config(model={"width": 0.5, "dropout": 0.2}).model
    own.check_options(arch, section)
    assert own.options(section) == {"width": 0.5, "dropout": 0.2}


def test_the_content_of_a_file_is_the_identity_not_its_place(file: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    copy = tmp_path / "elsewhere" / "other.py"
    copy.write_text(FILE)

    def of(path: Path) -> object:
        return identity(Config(model={"arch": own.pinned(f"{path}:build")}), "data")

    before = of(file)
    assert of(copy) == before
    file.write_text(FILE + "# changed\n")
    assert of(file) != before
    assert identity(Config(), "data") == {"data.fingerprint": "data"}, "a default run keeps its name"
