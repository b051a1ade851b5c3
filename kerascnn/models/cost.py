"""Counts parameters, multiply-adds and activations of a network.

Convention: one multiply-add is 1 MAC; convolutions and matrix products count, nothing else (as torchvision's `_ops`;
timm's run 0.5 % higher: they count normalizations and pooling too). A training step costs about three times as many.
Operations of a network from elsewhere that are neither of these nor known to be cheap are named: `Counts.unknown`.
"""

import contextlib
from collections.abc import Callable, Iterator
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
        unknown: Types of operations that might multiply and are not counted.
    """

    params: int
    trainable: int
    macs: int
    activations: int
    unknown: tuple[str, ...] = ()


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
    tally = _Tally()
    tally.add(graph)
    params, trainable = model.count_params(), _size(model.trainable_variables)
    return Counts(params, trainable, tally.macs, tally.activations, tuple(sorted(tally.unknown)))


def inference_graph(model: keras.Model, shape: tuple[int, ...]) -> tf.Graph:
    """Returns a graph of one inference and of the initialization in `weightless`, which has no convolutions or products."""
    if tf.executing_eagerly():
        traced = tf.function(lambda images: model(images, training=False))
        return traced.get_concrete_function(tf.TensorSpec(shape, model.inputs[0].dtype)).graph
    model(tf.compat.v1.placeholder(model.inputs[0].dtype, shape), training=False)
    return tf.compat.v1.get_default_graph()


def _size(variables) -> int:
    return sum(prod(variable.shape) for variable in variables)


class _Tally:
    """Sums over the operations of graphs."""

    def __init__(self) -> None:
        self.macs = self.activations = 0
        self.unknown: set[str] = set()

    def add(self, graph: tf.Graph) -> None:
        """Adds all operations of a graph, and of the functions that it calls."""
        for op in graph.get_operations():
            if op.type in CALLS:
                self.add(called_graph(graph, op))
            elif op.type in PRODUCTS:
                try:
                    macs = PRODUCTS[op.type](op)
                except (TypeError, ValueError):  # a shape is not known
                    self.unknown.add(f"{op.type} of unknown shape")
                    continue
                self.macs += macs
                self.activations += op.outputs[0].shape.num_elements() if "Conv" in op.type else 0
            elif op.type not in CHEAP:
                self.unknown.add(op.type)


def _convolution(op: tf.Operation) -> int:
    *window, inputs, _ = op.inputs[1].shape
    return op.outputs[0].shape.num_elements() * prod(window) * inputs


def _depthwise(op: tf.Operation) -> int:
    return op.outputs[0].shape.num_elements() * prod(op.inputs[1].shape[:2])


def _transposed(op: tf.Operation) -> int:
    """Counts a convolution backwards: each input reaches every position of the window."""
    *window, outputs, _ = op.inputs[1].shape
    return op.inputs[2].shape.num_elements() * prod(window) * outputs


def _product(op: tf.Operation) -> int:
    """Counts a product of matrices: the last two axes."""
    turned = op.get_attr("transpose_a" if op.type == "MatMul" else "adj_x")
    return op.outputs[0].shape.num_elements() * op.inputs[0].shape[-2 if turned else -1]


def _einsum(op: tf.Operation) -> int:
    """Counts a sum over products: once for each value of all its indices. Pooling, as a product by constants, is none."""
    if any(x.op.type == "Const" for x in op.inputs):
        return 0
    terms = op.get_attr("equation").decode().partition("->")[0].split(",")
    if len(terms) < 2 or "..." in "".join(terms):
        raise ValueError("not a product of explicit indices")
    sizes = {
        name: size for term, x in zip(terms, op.inputs, strict=True) for name, size in zip(term, x.shape, strict=True)
    }
    return prod(sizes.values())


PRODUCTS: dict[str, Callable[[tf.Operation], int]] = {
    "Conv2D": _convolution,
    "Conv3D": _convolution,
    "DepthwiseConv2dNative": _depthwise,
    "Conv2DBackpropInput": _transposed,
    "MatMul": _product,
    "BatchMatMulV2": _product,
    "Einsum": _einsum,
}
CALLS = ("PartitionedCall", "StatefulPartitionedCall")
# Operations that the convention does not count: element by element, pooling, statistics, shapes, variables.
_CHEAP = """
    Abs Add AddN AddV2 All Any ArgMax ArgMin Assert AssignAddVariableOp AssignSubVariableOp AssignVariableOp AvgPool
    BatchToSpaceND BiasAdd BroadcastTo Cast Ceil ClipByValue ConcatV2 Const Cos CropAndResize DepthToSpace Div DivNoNan
    Elu Equal Erf Erfc Exp ExpandDims Expm1 Fill Floor FloorDiv FloorMod FusedBatchNormV3 GatherNd GatherV2 Greater
    GreaterEqual Identity IdentityN L2Loss LRN LeakyRelu Less LessEqual Log Log1p LogSoftmax LogicalAnd LogicalNot
    LogicalOr Max MaxPool MaxPoolV2 Maximum Mean Merge Min Minimum MirrorPad Mul MulNoNan Neg NoOp NotEqual OneHot
    OnesLike Pack Pad PadV2 Placeholder PlaceholderWithDefault Pow PreventGradient Prod RandomUniform Range Rank
    ReadVariableOp RealDiv Reciprocal Relu Relu6 Reshape ResizeBicubic ResizeBilinear ResizeNearestNeighbor ResourceGather
    ReverseV2 Rint Roll Round Rsqrt ScatterNd Select SelectV2 Selu Shape ShapeN Sigmoid Sign Sin Size Slice Snapshot
    Softmax Softplus Softsign SpaceToBatchND SpaceToDepth Split SplitV Sqrt Square SquaredDifference Squeeze
    StatelessRandomGetKeyCounter StatelessRandomUniformV2 StatelessTruncatedNormalV2 StopGradient StridedSlice Sub Sum
    Switch Tanh Tile TopKV2 Transpose TruncatedNormal Unpack VarHandleOp VarIsInitializedOp Where ZerosLike
"""
CHEAP = frozenset(_CHEAP.split())
