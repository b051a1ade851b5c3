"""Counts parameters, multiply-adds and activations of a network.

Convention: one multiply-add is 1 MAC; convolutions and matrix products count, nothing else (as torchvision's `_ops`;
timm's run 0.5 % higher: they count normalizations and pooling too). A training step costs about three times as many.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import keras
import tensorflow as tf

from kerascnn.compat.tensorflow import called_graph


@dataclass(frozen=True)
class Counts:
    """The size and cost of a network for one image.

    Args:
        params: All weights, including the moving statistics of normalizations.
        trainable: Trainable weights.
        macs: Multiply-adds of inference.
        activations: Number of elements of all convolutions' outputs.
    """

    params: int
    trainable: int
    macs: int
    activations: int


@contextlib.contextmanager
def weightless() -> Iterator[None]:
    """Within it models are built in a graph that never runs: without initial values and memory, only for `count`.

    It takes half the time and none of the memory. Nothing of it can be used outside.
    """
    with tf.Graph().as_default():
        yield


def count(model: keras.Model, image_size: int | None = None, graph: tf.Graph | None = None) -> Counts:
    """Returns the cost of `model` for one image, in its traced inference graph, called functions included.

    Args:
        model: A model with one image input, built as usual or in the same `weightless` as this call.
        image_size: Height and width in pixels where the model's own are None (ValueError if both are missing).
        graph: Its traced inference of one image, if there is one (`inference_graph`).
    """
    height, width, channels = model.input_shape[1:]
    height, width = height or image_size, width or image_size
    if height is None or width is None:
        raise ValueError("the model takes images of any size: give image_size")
    graph = graph or inference_graph(model, (1, height, width, channels))
    macs, activations = _count_graph(graph)
    return Counts(model.count_params(), _size(model.trainable_variables), macs, activations)


def inference_graph(model: keras.Model, shape: tuple[int, ...]) -> tf.Graph:
    """Returns a graph of one inference and of the initialization in `weightless`, which has no convolutions or products."""
    if tf.executing_eagerly():
        traced = tf.function(lambda images: model(images, training=False))
        return traced.get_concrete_function(tf.TensorSpec(shape, model.inputs[0].dtype)).graph
    model(tf.compat.v1.placeholder(model.inputs[0].dtype, shape), training=False)
    return tf.compat.v1.get_default_graph()


def _size(variables) -> int:
    return sum(prod(variable.shape) for variable in variables)


def _count_graph(graph: tf.Graph) -> tuple[int, int]:
    macs = activations = 0
    for op in graph.get_operations():
        if op.type in ("Conv2D", "DepthwiseConv2dNative"):
            height, width, inputs, _ = op.inputs[1].shape
            outputs = op.outputs[0].shape.num_elements()
            macs += outputs * height * width * (inputs if op.type == "Conv2D" else 1)
            activations += outputs
        elif op.type == "MatMul":
            macs += op.outputs[0].shape.num_elements() * op.inputs[0].shape[0 if op.get_attr("transpose_a") else 1]
        elif op.type in ("PartitionedCall", "StatefulPartitionedCall"):
            inner = _count_graph(called_graph(graph, op))
            macs, activations = macs + inner[0], activations + inner[1]
    return macs, activations
