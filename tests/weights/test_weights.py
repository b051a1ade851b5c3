"""Weight files that do not fit; heads; our own files. That fitting ones give their peers' logits: tests/peers."""

import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerascnn import models, weights
from kerascnn.errors import UserError
from kerascnn.models import cost
from kerascnn.weights import keras_files, names
from kerascnn.weights.published import TIMM, check_pixels, published
from tests.peers import peer_files, peer_weights

pytestmark = pytest.mark.training

FLOATS = np.zeros((2, 3, 4), "float32")


def state_of(arch: str, classes: int = 5) -> dict[str, np.ndarray]:
    """A torch state dict for `arch`: our fresh shapes under the peer's names."""
    with cost.weightless():
        network = models.build(arch, (None, None, 3), classes, stem="large")
        shapes = {variable.path: tuple(variable.shape) for variable in network.weights}
    table, state = names.torch(arch), {}
    for path, ours in shapes.items():
        leaf, name = path.rsplit("/", 1)
        key = f"{table[leaf]}.{weights.TORCH_VARIABLES[name]}"
        shape = weights._published_shape(path, ours, "torch")
        state[key] = peer_weights.tensor(key, shape, 1.0)
    return state


@pytest.fixture(scope="module")
def resnet18() -> dict[str, np.ndarray]:
    return state_of("resnet18")


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """One for all files that are refused: none of them changes it."""
    return models.build("resnet18", (None, None, 3), 5)


def assert_refused(network, arch, file, *words):
    """A UserError that has the words, and a network as it was."""
    before = network.get_weights()
    with pytest.raises(UserError) as error:
        weights.load(network, arch, file)
    for word in words:
        assert word in str(error.value), error.value
    for a, b in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_other_files_are_named(network, tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"x")
    assert_refused(network, "resnet18", tmp_path / "a.onnx", "expected .pth, .safetensors, .h5 or .keras, got .onnx")
    (tmp_path / "a.h5").write_bytes(b"x")
    assert_refused(network, "resnet18", tmp_path / "a.h5", "a.h5", "weight file of Keras")
    (tmp_path / "a.keras").write_bytes(b"x")
    assert_refused(network, "resnet18", tmp_path / "a.keras", "a.keras", "weight file of Keras")
    assert_refused(network, "resnet18", tmp_path / "none.pth", "there is no file", "none.pth")


def test_damage_in_the_numbers_is_found_before_any_is_set(network, resnet18, tmp_path):
    file = peer_files.write_pth(tmp_path / "a.pth", resnet18)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert_refused(network, "resnet18", file, "a.pth: the file is damaged", "CRC")


# Heads


def test_another_number_of_classes_keeps_the_fresh_head(resnet18, tmp_path):
    network = models.build("resnet18", (None, None, 3), 3)
    head = network.get_layer("logits").get_weights()
    said = weights.load(network, "resnet18", peer_files.write_pth(tmp_path / "a.pth", resnet18))
    assert said == [
        "weights: 100 tensors of 102 from a.pth",
        "head: the file's 5 classes are replaced by a fresh head for 3",
    ]
    for before, after in zip(head, network.get_layer("logits").get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    kernel = network.get_layer("stage4_block2").conv2.conv.kernel.numpy()
    np.testing.assert_array_equal(kernel, resnet18["layer4.1.conv2.weight"].transpose(2, 3, 1, 0))


def test_a_file_without_a_head_keeps_the_fresh_one(network, resnet18, tmp_path):
    state = {key: value for key, value in resnet18.items() if not key.startswith("fc.")}
    said = weights.load(network, "resnet18", peer_files.write_safetensors(tmp_path / "a.safetensors", state))
    assert said[1:] == ["head: the file has none, so the network keeps a fresh one"]


def test_half_a_head_is_missing_the_other_half(network, resnet18, tmp_path):
    state = {key: value for key, value in resnet18.items() if key != "fc.bias"}
    file = peer_files.write_safetensors(tmp_path / "a.safetensors", state)
    assert_refused(network, "resnet18", file, "Tensors 1 missing: fc.bias")


# Files that do not fit


def test_a_tensor_of_another_shape_names_itself_with_both_shapes(network, resnet18, tmp_path):
    state = {**resnet18, "layer3.0.conv1.weight": np.zeros((256, 128, 5, 5), "float32")}
    file = peer_files.write_pth(tmp_path / "a.pth", state)
    found = "layer3.0.conv1.weight: expected shape (256, 128, 3, 3), found (256, 128, 5, 5)"
    assert_refused(network, "resnet18", file, f"1 of another shape: {found}", "no network of `kerascnn archs`")


def test_missing_and_unknown_names_are_listed(network, resnet18, tmp_path):
    state = {key: value for key, value in resnet18.items() if not key.startswith("layer4.1")}
    file = peer_files.write_pth(tmp_path / "a.pth", {**state, "extra.weight": FLOATS})
    missing = "10 missing: layer4.1.conv1.weight, layer4.1.bn1.weight"
    assert_refused(network, "resnet18", file, missing, "and 5 more", "1 unknown: extra.weight")


def test_a_file_of_another_depth_or_width_names_its_row(network, resnet18, tmp_path):
    file = peer_files.write_pth(tmp_path / "a.pth", resnet18)
    other = models.build("resnet34", (None, None, 3), 5)
    assert_refused(other, "resnet34", file, "weights of resnet18, not of resnet34: --arch resnet18")
    other = models.build("resnet50_keras", (None, None, 3), 5)
    assert_refused(other, "resnet50_keras", file, "weights of resnet18, not of resnet50_keras")


def test_rows_with_equal_names_are_told_apart_by_shapes(tmp_path):
    file = peer_files.write_safetensors(tmp_path / "a.safetensors", state_of("resnext50_32x4d"))
    other = models.build("resnet50", (None, None, 3), 5)
    assert_refused(other, "resnet50", file, "weights of resnext50_32x4d, not of resnet50")


def test_a_file_of_keras_applications_names_its_row(tmp_path):
    keras.applications.ResNet50(weights=None, classes=5).save_weights(tmp_path / "a.weights.h5")
    network = models.build("resnet50", (None, None, 3), 5)
    assert_refused(network, "resnet50", tmp_path / "a.weights.h5", "weights of resnet50_keras, not of resnet50")


@pytest.mark.slow
def test_a_file_of_another_network_of_keras_applications_names_its_row(tmp_path):
    keras.applications.ResNet50(weights=None, classes=5).save_weights(tmp_path / "a.weights.h5")
    network = models.build("resnetv2_50_keras", (None, None, 3), 5)
    assert_refused(network, "resnetv2_50_keras", tmp_path / "a.weights.h5", "weights of resnet50_keras, not of")


@pytest.mark.slow
def test_a_network_of_keras_with_another_stem_is_told_so(tmp_path):
    keras.applications.Xception(weights=None, classes=5).save_weights(tmp_path / "a.weights.h5")
    network = models.build("xception_keras", (64, 64, 3), 5)
    assert_refused(
        network, "xception_keras", tmp_path / "a.weights.h5", "holds xception_keras", "unknown: block1_conv2/"
    )


def test_a_network_with_another_stem_is_told_so(resnet18, tmp_path):
    network = models.build("resnet18", (32, 32, 3), 5)
    file = peer_files.write_pth(tmp_path / "a.pth", resnet18)
    found = "conv1.weight: expected shape (64, 3, 3, 3), found (64, 3, 7, 7)"
    assert_refused(network, "resnet18", file, found, "holds resnet18", "another stem")


# Our own files


def test_our_own_file_gives_its_network_back(tmp_path):
    first, second = (models.build("resnet20", (32, 32, 3), 4, width=0.5) for _ in range(2))
    for variable in first.weights:
        variable.assign(peer_weights.variable(variable.path, tuple(variable.shape), 1.0))
    first.save(tmp_path / "best.keras")
    assert weights.load(second, "resnet20", tmp_path / "best.keras") == ["weights: 97 tensors of 97 from best.keras"]
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    other = models.build("resnet20", (32, 32, 3), 7, width=0.5)
    said = weights.load(other, "resnet20", tmp_path / "best.keras")
    assert said[1:] == ["head: the file's 4 classes are replaced by a fresh head for 7"]
    wide = models.build("resnet20", (32, 32, 3), 4)
    assert_refused(
        wide, "resnet20", tmp_path / "best.keras", "stem_1/conv/kernel", "expected shape (3, 3, 3, 16), found"
    )
    deep = models.build("resnet32", (32, 32, 3), 4)
    assert_refused(deep, "resnet32", tmp_path / "best.keras", "weights of resnet20, not of resnet32: --arch resnet20")


def test_weights_reach_every_replica_and_a_mixed_network(resnet18, tmp_path):
    file = peer_files.write_pth(tmp_path / "a.pth", resnet18)
    first = models.build("resnet20", (32, 32, 3), 4)
    first.save(tmp_path / "best.keras")
    keras.config.set_dtype_policy("mixed_bfloat16")
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        network, small = models.build("resnet18", (None, None, 3), 5), models.build("resnet20", (32, 32, 3), 4)
        weights.load(network, "resnet18", file)
        weights.load(small, "resnet20", tmp_path / "best.keras")
    kernel = network.get_layer("stage1_block1").conv1.conv.kernel.value
    for replica in kernel.values:
        np.testing.assert_array_equal(replica.numpy(), resnet18["layer1.0.conv1.weight"].transpose(2, 3, 1, 0))
    theirs = first.get_layer("logits").kernel.numpy()
    assert all(np.array_equal(replica.numpy(), theirs) for replica in small.get_layer("logits").kernel.value.values)


def test_a_foreign_keras_file_fits_nothing(network, tmp_path):
    foreign = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, name="conv1")])
    foreign.save(tmp_path / "foreign.keras")
    assert_refused(
        network, "resnet18", tmp_path / "foreign.keras", "does not fit resnet18", "no network of `kerascnn archs`"
    )
    with zipfile.ZipFile(tmp_path / "empty.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(UserError, match="cannot be read"):
        keras_files.read(tmp_path / "empty.keras", "resnet18")


# Published ones, without a network


def test_what_nobody_publishes_says_so():
    with pytest.raises(
        UserError, match="there are no published weights for inception_small; archs with weights: resnet18"
    ):
        published("inception_small")
    with pytest.raises(UserError, match="download the file that torchvision or timm names for it"):
        published("googlenet_tv")


def test_the_hub_needs_its_package(network, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)  # as where it is not installed
    for source in ("imagenet", "hf://timm/resnet18.tv_in1k"):
        assert_refused(
            network, "resnet18", source, "hf://timm/resnet18.", "pip install 'kerascnn[hub]'", "--weights FILE"
        )


def test_published_names_are_of_archs_that_have_a_table():
    assert set(TIMM) <= {arch for arch in models.ARCHS if names.torch(arch)}
    for arch, name in TIMM.items():
        assert name.split(".")[0] == arch


def test_weights_of_images_that_were_prepared_otherwise_are_refused():
    config = {"pretrained_cfg": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}}
    check_pixels(config, "resnet18", "timm/resnet18.a1_in1k")
    halves = {"pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}
    check_pixels(halves, "inception_v3", "timm/inception_v3.tv_in1k")
    with pytest.raises(UserError, match=r"trained on images of mean .*123\.6.*inception_v3 prepares its images with"):
        check_pixels(config, "inception_v3", "timm/inception_v3.gluon_in1k")
