"""What is saved: the contract, TensorFlow's own ops, a version that is whole or not there."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from kerascnn import models
from kerascnn.artefacts import savedmodel, versions
from kerascnn.artefacts.opening import probabilities_of
from kerascnn.data import decode
from tests.artefacts import networks
from tests.data import odd_files

pytestmark = pytest.mark.training

NAMES = ("ant", "bee", "new\nline", "back\\slash", "Grüße 图", "with space", "g")

# What a served network is made of. A new op here must exist in a plain TensorFlow Serving.
NETWORK = "AddV2 AvgPool BiasAdd Conv2D MatMul MaxPool Mean Pad PadV2 Relu Softmax Squeeze TopKV2 GatherV2"
PIXELS = "DecodeJpeg DecodePng ExtractJpegShape ScaleAndTranslate Reverse Transpose Round"
STRINGS = "DecodeRaw ReduceJoin StringJoin StringLength StringSplitV2 Substr"
PLAIN = """All Assert Cast ConcatV2 Const EnsureShape Equal FloorDiv Greater GreaterEqual Identity Less LessEqual LogicalAnd
    LogicalNot LogicalOr Maximum Min Max Minimum Mul Neg NoOp NotEqual Pack Placeholder Prod RealDiv Reshape Select SelectV2 Shape
    Size StridedSlice Sub Sum Where"""
CONTROL = """If StatelessIf While StatelessWhile StatefulPartitionedCall PartitionedCall TensorListFromTensor
    TensorListGetItem TensorListReserve TensorListSetItem TensorListStack"""
WEIGHTS = """VarHandleOp ReadVariableOp AssignVariableOp VarIsInitializedOp DisableCopyOnRead SaveV2 RestoreV2 ShardedFilename
    MergeV2Checkpoints StaticRegexFullMatch"""
STANDARD = set(" ".join((NETWORK, PIXELS, STRINGS, PLAIN, CONTROL, WEIGHTS)).split())


@pytest.fixture(scope="module")
def network():
    return networks.tiny()


@pytest.fixture(scope="module")
def version(network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved_models") / "run"
    return export(network, folder, metadata={"arch": "resnet20"})


@pytest.fixture(scope="module")
def loaded(version: Path):
    return tf.saved_model.load(str(version))


def export(network, folder: Path, names: tuple[str, ...] = NAMES, **known) -> Path:
    return savedmodel.export(network, folder, class_names=names, image_size=32, resize="crop", **known)


def graph_nodes(version: Path) -> Iterator[tuple[str, tf.compat.v1.NodeDef]]:
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((version / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    yield from (("", node) for node in graph.node)
    for function in graph.library.function:
        yield from ((function.signature.name, node) for node in function.node_def)


def test_the_contract(loaded) -> None:
    assert set(loaded.signatures) == {"serving_default", "images", "features"}
    inputs = {name: loaded.signatures[name].structured_input_signature[1] for name in loaded.signatures}
    assert inputs["serving_default"] == {"image_bytes": tf.TensorSpec([None], tf.string, "image_bytes")}
    assert inputs["images"] == {"images": tf.TensorSpec([None, None, None, 3], tf.float32, "images")}
    assert inputs["features"] == inputs["images"]
    assert loaded.signatures["features"].structured_outputs["features"].shape.as_list() == [None, 16]
    for signature in (loaded.signatures["serving_default"], loaded.signatures["images"]):
        outputs = {name: (spec.dtype, spec.shape.as_list()) for name, spec in signature.structured_outputs.items()}
        assert outputs == {
            "probabilities": (tf.float32, [None, 7]),
            "classes": (tf.string, [None, 5]),
            "scores": (tf.float32, [None, 5]),
        }


def test_answers_are_the_networks(network, loaded) -> None:
    images = np.random.default_rng(1).uniform(0, 255, (5, 32, 32, 3)).astype("float32")
    answer = {name: value.numpy() for name, value in loaded.signatures["images"](images=images).items()}
    expected = probabilities_of(network)(images).numpy()
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)  # folding rounds in another place
    order = np.argsort(-expected, 1)[:, :5]
    np.testing.assert_array_equal(answer["scores"], np.take_along_axis(answer["probabilities"], order, 1))
    assert answer["classes"].tolist() == [[NAMES[place].encode() for place in row] for row in order]
    assert len(set(order[:, 0])) > 1, "one class wins everywhere: the test would not see a mistake"


def test_bytes_are_decoded_and_resized_by_the_one_path(network, loaded) -> None:
    contents = [
        odd_files.with_exif(odd_files.encode(odd_files.photo(90, 50), "JPEG"), odd_files.exif(6)),
        odd_files.encode(odd_files.photo(40, 70, "RGBA"), "PNG"),
        odd_files.encode(odd_files.photo(33, 33, "L"), "JPEG"),
    ]
    pixels = np.stack([decode.preprocess(content, 32, "crop") for content in contents])
    answer = loaded.signatures["serving_default"](image_bytes=tf.constant(contents))
    expected = probabilities_of(network)(pixels.astype("float32"))
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)


def test_images_of_another_size_are_resized_like_files(loaded) -> None:
    images = np.stack([odd_files.photo(70, 50), odd_files.photo(70, 50).rotate(180)]).astype("float32")
    answer = loaded.signatures["images"]
    fitted = tf.cast(decode.resize(images, 32, "crop"), tf.float32)
    got, expected = answer(images=tf.constant(images)), answer(images=fitted)
    np.testing.assert_allclose(got["probabilities"], expected["probabilities"], atol=1e-6)


def test_uint8_and_features(network, loaded) -> None:
    images = np.random.default_rng(4).integers(0, 256, (3, 40, 36, 3), "uint8")
    as_floats = loaded.signatures["images"](images=images.astype("float32"))
    np.testing.assert_array_equal(loaded(images)["probabilities"], as_floats["probabilities"])
    fitted = tf.cast(decode.resize(images, 32, "crop"), tf.float32)
    pooled = keras.Model(network.inputs, network.get_layer("pool").output)(fitted)
    got = loaded.signatures["features"](images=images.astype("float32"))["features"]
    np.testing.assert_allclose(got, pooled, rtol=1e-4, atol=1e-5)


def test_one_bad_image_is_an_error_of_the_caller(loaded) -> None:
    good = odd_files.encode(odd_files.photo(), "JPEG")
    serve = loaded.signatures["serving_default"]
    for bad in (b"", b"no image", odd_files.encode(odd_files.photo(), "GIF"), good[:-80]):
        with pytest.raises(tf.errors.InvalidArgumentError):
            serve(image_bytes=tf.constant([good, bad]))
    assert serve(image_bytes=tf.constant([good]))["probabilities"].shape == (1, 7)


def test_only_standard_ops_in_float32_on_no_device(version: Path) -> None:
    nodes = list(graph_nodes(version))
    ops = Counter(node.op for _, node in nodes)
    assert set(ops) <= STANDARD
    assert ops["Conv2D"] == ops["BiasAdd"] - 1 == 7  # the network is there once, its normalizations folded
    for function, node in nodes:
        saver = "traced_save" in function or "traced_restore" in function or (not function and node.op == "Const")
        assert not node.device or saver, f"{node.name} is placed on {node.device}"
        assert not node.attr["_XlaMustCompile"].b, node.name
        types = {attr.type for attr in node.attr.values()}
        assert not types & {tf.bfloat16.as_datatype_enum, tf.float16.as_datatype_enum}, node.name


def test_assets_say_what_it_is(version: Path) -> None:
    lines = (version / "assets" / "classes.txt").read_text(encoding="utf-8").splitlines()
    assert lines == ["ant", "bee", "new\\nline", "back\\\\slash", "Grüße 图", "with space", "g"]
    metadata = savedmodel.read_metadata(version)
    assert tuple(metadata["class_names"]) == NAMES
    assert (metadata["image_size"], metadata["resize"], metadata["arch"]) == (32, "crop", "resnet20")
    assert metadata["versions"]["tensorflow"] == tf.__version__
    assert str(Path.cwd()) not in json.dumps(metadata)


def test_fewer_than_five_classes_of_any_name(tmp_path: Path) -> None:
    latin = b"caf\xe9".decode("utf-8", "surrogateescape")  # a folder's name need not be UTF-8
    names = ("tea", latin)
    version = export(networks.tiny(classes=2), tmp_path / "few", names)
    answer = tf.saved_model.load(str(version)).signatures["images"](images=tf.zeros([3, 32, 32, 3]))
    assert answer["classes"].shape == answer["scores"].shape == (3, 2)
    np.testing.assert_allclose(tf.reduce_sum(answer["scores"], 1), 1, atol=1e-6)
    assert set(answer["classes"].numpy()[0].tolist()) == {b"tea", b"caf\xe9"}
    assert tuple(savedmodel.read_metadata(version)["class_names"]) == names


def test_versions_count_up_and_appear_whole(network, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "run"
    assert versions.next_version(folder) == 1
    assert [export(network, folder).name for _ in range(2)] == ["1", "2"]
    (folder / "9").mkdir()
    (folder / "notes").mkdir()
    assert versions.next_version(folder) == 10
    assert sorted(entry.name for entry in folder.iterdir()) == ["1", "2", "9", "notes"]


def test_a_failed_export_leaves_nothing_behind(network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TypeError, match="serializable"):
        export(network, tmp_path / "run", metadata={"not": {"json"}})
    assert not list(tmp_path.rglob("*"))


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"float32_twin\), but .* uses bfloat16"):
        export(networks.tiny(dtype="mixed_bfloat16"), tmp_path / "run")
    with pytest.raises(ValueError, match="expected 7 class names, one per logit, got 2"):
        export(networks.tiny(), tmp_path / "run", ("a", "b"))
    assert not (tmp_path / "run").exists()


def test_a_network_trained_on_replicas(tmp_path: Path) -> None:
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice()).scope():
        network = networks.tiny()
        with pytest.raises(RuntimeError, match="outside of every strategy's scope"):
            export(network, tmp_path / "run")
    version = export(models.float32_twin(network), tmp_path / "run")
    assert not {node.device for function, node in graph_nodes(version) if function and "traced_" not in function} - {""}
