"""Tiny artefacts with outputs beside `probabilities`, as a SavedModel and as an ONNX file, that compute the same."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from kerascnn.artefacts import savedmodel

NAMES, SIDE = ("red", "green", "blue"), 4


def expected(images: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the outputs for images [n, SIDE, SIDE, 3]: a softmax over the mean of each color."""
    logits = images.mean((1, 2)) / 32
    raised = np.exp(logits - logits.max(1, keepdims=True))
    probabilities = raised / raised.sum(1, keepdims=True)
    score = probabilities.max(1)
    return {"probabilities": probabilities, "in_set": probabilities >= 0.2, "known": score >= 0.5, "known_score": score}


def saved_model(version: Path) -> None:
    """Writes a SavedModel."""

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32, "images")])
    def images(images):
        probabilities = tf.ensure_shape(tf.nn.softmax(tf.reduce_mean(images, (1, 2)) / 32), [None, 3])
        score = tf.reduce_max(probabilities, 1)
        further = {"in_set": probabilities >= 0.2, "known": score >= 0.5, "known_score": score}
        return {"probabilities": probabilities, **further}

    module = tf.Module()
    module.images = images
    tf.saved_model.save(module, str(version), signatures={"images": images})
    (version / "assets").mkdir(exist_ok=True)
    for name, content in savedmodel.describe(NAMES, SIDE, "squash", {}).items():
        (version / "assets" / name).write_bytes(content)


def onnx_file(path: Path, *, further: bool = True, scale: float = 1 / 32) -> None:
    """Writes an ONNX file; another scale makes another network."""
    import json

    import onnx
    from onnx import TensorProto, helper

    def value(name: str, content: object, kind: int = TensorProto.FLOAT) -> onnx.TensorProto:
        array = np.asarray(content)
        return helper.make_tensor(name, kind, array.shape, array.ravel().tolist())

    constants = [value("scale", scale), value("low", 0.2), value("half", 0.5)]
    constants += [value("sides", [1, 2], TensorProto.INT64), value("last", [1], TensorProto.INT64)]
    nodes = [
        helper.make_node("ReduceMean", ["images", "sides"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "scale"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("GreaterOrEqual", ["probabilities", "low"], ["in_set"]),
        helper.make_node("ReduceMax", ["probabilities", "last"], ["known_score"], keepdims=0),
        helper.make_node("GreaterOrEqual", ["known_score", "half"], ["known"]),
    ]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 3])]
    if further:
        outputs += [helper.make_tensor_value_info("in_set", TensorProto.BOOL, ["n", 3])]
        outputs += [helper.make_tensor_value_info("known", TensorProto.BOOL, ["n"])]
        outputs += [helper.make_tensor_value_info("known_score", TensorProto.FLOAT, ["n"])]
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", SIDE, SIDE, 3])]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    known = {"class_names": NAMES, "image_size": SIDE, "resize": "squash"}
    helper.set_model_props(model, {name: json.dumps(given) for name, given in known.items()})
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
