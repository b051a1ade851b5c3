"""Networks of functions: checked once, and in the form of `models.build` afterwards."""

from pathlib import Path

import keras
import numpy as np
import pytest

from kerascnn import models
from kerascnn.architectures import own
from kerascnn.errors import UserError
from kerascnn.layers import BatchNormalization
from kerascnn.models import functions
from kerascnn.scoring import grad_cam

FILE = Path(__file__).with_name("own_networks.py")
SHAPE, CLASSES = (32, 32, 3), 5


def arch(name: str) -> own.OwnArch:
    found = own.parse(own.pinned(f"{FILE}:{name}"))
    assert found is not None
    return found


def made(name: str, **choices) -> keras.Model:
    return models.build(own.pinned(f"{FILE}:{name}"), SHAPE, CLASSES, **choices)


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (2, *SHAPE)).astype("float32")


def names(model: keras.Model) -> list[str]:
    return [layer.name for layer in model.layers]


@pytest.mark.parametrize(
    ("name", "stages"), [("build", ["stage1", "stage2", "stage3"]), ("nested", ["stage1"]), ("named", ["stage1"])]
)
def test_taps_have_the_names_of_our_networks(name: str, stages: list[str], pixels: np.ndarray) -> None:
    functions.check(arch(name), 32, CLASSES, {})
    model = made(name)
    assert [each for each in names(model) if each in ("images", "pool", "logits")] == ["images", "pool", "logits"]
    assert names(model)[-1] == "logits"
    assert grad_cam.stages(model) == stages
    assert (model.output.shape, model.output.dtype) == ((None, CLASSES), "float32")
    assert isinstance(models.head(model), keras.layers.Dense)
    assert grad_cam.grad_cam(models.float32_twin(model), pixels).shape == (2, 32, 32)


def test_a_network_without_a_graph_is_one_layer(pixels: np.ndarray) -> None:
    functions.check(arch("whole"), 32, CLASSES, {})
    model = made("whole")
    assert not grad_cam.has_maps(model)
    with pytest.raises(UserError, match="Grad-CAM has nothing to show"):
        grad_cam.grad_cam(model, pixels)
    np.testing.assert_allclose(models.float32_twin(model)(pixels), model(pixels), atol=1e-4)


def test_normalizations_become_ours_and_compute_the_same(pixels: np.ndarray) -> None:
    inputs = keras.Input(SHAPE)
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(inputs))
    inner = keras.Sequential([keras.Input(x.shape[1:]), keras.layers.BatchNormalization()])
    given = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(inner(x))))
    rng = np.random.default_rng(1)
    given.set_weights([rng.uniform(0.5, 2, part.shape) for part in given.get_weights()])
    expected = given(pixels)
    model = models.adapting.adapted(given, "given")
    found = [each for each in model._flatten_layers() if isinstance(each, keras.layers.BatchNormalization)]
    assert [type(each) for each in found] == [BatchNormalization] * 2
    np.testing.assert_allclose(model(pixels), expected, rtol=1e-4)


def test_a_frozen_layer_stays_frozen() -> None:
    assert made("nested").frozen == ("body",)


def test_width_is_passed_on() -> None:
    assert made("build", width=2.0).count_params() > 3 * made("build").count_params()
    with pytest.raises(UserError, match=r"--width: own_networks\.py:nested takes no argument width or alpha"):
        made("nested", width=2.0)


def test_logits_are_float32_in_lower_precision() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = made("build")
    assert models.head(model).compute_dtype == "float32"
    assert model.output.dtype == "float32"
    nested = made("nested")
    keras.config.set_dtype_policy("float32")  # as after a strategy's scope
    twin = models.float32_twin(nested)
    assert {layer.compute_dtype for layer in twin._flatten_layers()} == {"float32"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("not_a_function", "not_a_function is not a function, but int"),
        ("raises", r"ZeroDivisionError: division by zero \(line \d+\)"),
        ("nothing", "expected a keras.Model, its function returned NoneType"),
        ("unbuilt", "expected a built model"),
        ("two_outputs", "expected one input and one output, got 1 and 2"),
        ("wrong_input", r"expected images \('batch', 32, 32, 3\), its input is \(None, 16, 16, 3\)"),
        ("wrong_output", r"expected logits \('batch', 5\), its output is \(None, 6\)"),
        ("integers", "expected a float32 input"),
        ("classes", "expected a float output, got int32"),
        ("softmax", "it ends in softmax"),
        ("hidden_softmax", "its outputs are probabilities"),
        ("not_finite", "not finite"),
        ("anonymous", "cannot be saved and loaded again.*Lambda"),
        ("forgetful", "the saved and loaded network computes something else"),
    ],
)
def test_a_wrong_network_is_one_message(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        functions.check(arch(name), 32, CLASSES, {})
    assert str(raised.value).startswith(f"--arch own_networks.py:{name}: ")


def test_a_file_that_raises(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("import nowhere_to_be_found\n\ndef build(s, n):\n    pass\n")
    with pytest.raises(UserError, match=r"net.py raises ModuleNotFoundError: .* \(line 1\)"):
        models.build(f"{tmp_path / 'net.py'}:build", SHAPE, CLASSES)


def test_a_copy_stands_in_for_a_file_that_is_gone(tmp_path: Path) -> None:
    source = FILE.read_text() + f"# {tmp_path}\n"  # a content that no other test has loaded
    file, copy = tmp_path / "net.py", tmp_path / "run" / "network.py"
    file.write_text(source)
    pinned = own.pinned(f"{file}:build")
    file.unlink()
    with pytest.raises(UserError, match="cannot read"):
        models.build(pinned, SHAPE, CLASSES)
    copy.parent.mkdir()
    found = own.parse(pinned)
    assert found is not None
    copy.write_text("raise AssertionError('another content does not run')")
    functions.find(found, [copy])
    file.write_text(source + "# changed\n")
    with pytest.raises(UserError, match="has changed since this run began"):
        models.build(pinned, SHAPE, CLASSES)
    copy.write_text(source)
    functions.find(found, [copy])
    assert models.build(pinned, SHAPE, CLASSES).output_shape == (None, CLASSES)
    assert functions.source(found) == source.encode()


@pytest.mark.parametrize(
    ("name", "mean", "std", "reverse"),
    [
        ("MobileNetV3Small", (0,) * 3, (1,) * 3, False),
        ("ResNet50V2", (127.5,) * 3, (127.5,) * 3, False),
        ("ResNet50", (103.939, 116.779, 123.68), (1,) * 3, True),
        ("DenseNet121", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), False),
    ],
)
def test_preprocessing_of_applications(name: str, mean: tuple, std: tuple, reverse: bool) -> None:
    assert functions.pixels_of(own.OwnArch(None, name)) == (mean, std, reverse)


@pytest.mark.training
def test_an_application_takes_raw_pixels(pixels: np.ndarray) -> None:
    keras.utils.set_random_seed(3)
    theirs = keras.applications.MobileNetV2(
        input_shape=SHAPE, alpha=0.35, classes=CLASSES, weights=None, classifier_activation=None
    )
    mine = models.build("keras:MobileNetV2", SHAPE, CLASSES, width=0.35)
    mine.set_weights(theirs.get_weights())
    expected = theirs(keras.applications.mobilenet_v2.preprocess_input(pixels.copy()), training=False)
    np.testing.assert_allclose(mine(pixels, training=False), expected, atol=1e-5)
    assert grad_cam.stages(mine)
    with pytest.raises(UserError, match=r"--arch keras:MobileNetV2: ValueError"):
        models.build("keras:MobileNetV2", (16, 16, 3), CLASSES)
