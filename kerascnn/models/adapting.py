"""Gives a network from elsewhere the form of `models.build`: its layers stay, its taps get their names.

- `images` is its input, `logits` its last layer, in float32.
- `pool` is the input of its head (the features); `stage1`, `stage2`, ... are its last maps before the image shrinks further,
  unless it has layers of these names itself. Grad-CAM, `--freeze-stages` and exports of features use them.
- Keras' normalizations become ours, with the same weights: they are faster, and replicas share their statistics.
"""

import re
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from kerascnn.compat import keras as compat
from kerascnn.layers import BatchNormalization

# A map that is smaller than this share of the one before begins another stage; a valid convolution does not.
SHRUNK = 0.75
_TAPS = ("images", "pool", "logits")


def adapted(plain: keras.Model, name: str) -> keras.Model:
    """Returns a graph with one input and one output (`functional`) in the form of `models.build`.

    Args:
        plain: It is not used afterwards: the result has its layers.
        name: Name of the result.
    """
    final = _final(plain)
    for layer in plain.layers:
        if layer.name in _TAPS and layer is not final:
            layer.name = f"own_{layer.name}"
    names = _stages(plain)
    front = next((layer for layer in reversed(plain.layers) if layer.weights), None)  # its weights compute the logits
    replaced: dict[int, keras.layers.Layer] = {}

    def same(layer):
        replaced[id(layer)] = _replaced(layer, in_float32=layer is front)
        return replaced[id(layer)]

    def call(layer, *args, **kwargs):
        if front is not None and layer is replaced.get(id(front)) and _is_feature(args[0], plain):
            args = (layers.Identity(name="pool")(args[0]), *args[1:])
        x = layer(*args, **kwargs)
        return layers.Identity(name=names[layer.name])(x) if layer.name in names else x

    images = keras.Input(plain.input_shape[1:], name="images", dtype="float32")
    clone = keras.models.clone_model(plain, images, clone_function=same, call_function=call)
    _take_weights(plain, replaced)
    logits = clone.output
    if "pool" not in {layer.name for layer in clone.layers}:  # a network that is one layer, whose inside is unknown
        logits = layers.Identity(name="pool")(logits)
    if final is None or logits.name == "pool" or clone.layers[-1].name != "logits":
        logits = layers.Identity(dtype="float32", name="logits")(logits)
    made = keras.Model(images, logits, name=re.sub(r"\W+", "_", name).strip("_"))
    made.frozen = tuple(layer.name for layer in made.layers if not layer.trainable)  # by its function, for good
    return made


def has_graph(network: keras.Model) -> bool:
    """Returns whether a network is a graph of layers: a subclass of keras.Model with `call` is none."""
    return bool(getattr(network, "inputs", None) and getattr(network, "outputs", None))


def functional(network: keras.Model, input_shape: tuple[int, ...]) -> keras.Model:
    """Returns a network as a graph of its layers; one without a graph as a single layer."""
    if has_graph(network):
        return keras.Model(network.inputs[0], network.outputs[0], name=network.name)
    images = keras.Input(input_shape)
    return keras.Model(images, network(images), name="whole")


def _final(network: keras.Model) -> keras.layers.Layer | None:
    """Returns the last layer if it is a classifier called `logits` in float32, which then stays as it is."""
    last = network.layers[-1]
    plain = isinstance(last, layers.Dense) and last.compute_dtype == "float32"
    return last if last.name == "logits" and plain else None


def _is_feature(x: Any, network: keras.Model) -> bool:
    """Returns whether the input of the head is a tensor of features, not the images themselves."""
    return hasattr(x, "shape") and tuple(x.shape[1:]) != tuple(network.input_shape[1:])


def _replaced(layer: Any, in_float32: bool) -> Any:
    """Returns the layer that takes the place of `layer`: itself, but for normalizations, and a head of lower precision."""
    if type(layer) is layers.BatchNormalization:
        return BatchNormalization.from_config(layer.get_config())
    if in_float32 and isinstance(layer, layers.Dense | layers.Conv2D) and layer.compute_dtype != "float32":
        return type(layer).from_config({**layer.get_config(), "dtype": "float32"})
    if isinstance(layer, keras.Model) and _has_stock_norm(layer):
        inner: dict[int, keras.layers.Layer] = {}

        def within(each):
            inner[id(each)] = _replaced(each, in_float32=False)
            return inner[id(each)]

        copy = keras.models.clone_model(layer, clone_function=within)
        _take_weights(layer, inner)
        return copy
    return layer


def _has_stock_norm(model: keras.Model) -> bool:
    """Returns whether a model inside a network is a graph with a normalization of Keras."""
    return has_graph(model) and any(type(layer) is layers.BatchNormalization for layer in compat.nested_layers(model))


def _take_weights(network: keras.Model, replaced: dict[int, keras.layers.Layer]) -> None:
    if not tf.executing_eagerly():  # `models.cost.weightless`
        return
    for layer in network.layers:
        other = replaced.get(id(layer))
        if other is not None and other is not layer and not isinstance(layer, keras.Model):
            other.set_weights(layer.get_weights())


def _stages(network: keras.Model) -> dict[str, str]:
    """Returns layers -> names of the stages that they end: the last map before the image shrinks further.

    Only a map counts through which everything later depends on everything earlier. If there is none, the last map is used.
    """
    if any(layer.name == "stage1" for layer in network.layers):
        return {}
    maps = [node for node in _cuts(network) if _is_map(node, network)]
    maps = maps or [node for node in compat.nodes(network) if _is_map(node, network)][-1:]
    ends: list[Any] = []
    for node in maps:
        if not ends or _side(node) <= SHRUNK * _side(ends[-1]):
            ends.append(node)
        elif _side(node) <= _side(ends[-1]):
            ends[-1] = node
    return {node.operation.name: f"stage{i}" for i, node in enumerate(ends, 1)}


def _cuts(network: keras.Model) -> list[Any]:
    """Returns the nodes whose output is all that later nodes use of earlier ones, in order."""
    nodes = compat.nodes(network)
    position = {id(tensor): i for i, node in enumerate(nodes) for tensor in node.outputs}
    last_use = list(range(len(nodes)))
    for i, node in enumerate(nodes):
        for tensor in node.input_tensors:
            last_use[position[id(tensor)]] = i
    cuts, reach = [], -1
    for i, node in enumerate(nodes):
        if reach <= i:
            cuts.append(node)
        reach = max(reach, last_use[i])
    return cuts


def _is_map(node: Any, network: keras.Model) -> bool:
    """Returns whether a node computes one map of more than one position, which is not the image, prepared or padded."""
    if node.is_input or len(node.outputs) != 1:
        return False
    shape = tuple(node.outputs[0].shape)
    once = sum(each.operation is node.operation for each in compat.nodes(network)) == 1
    if len(shape) != 4 or None in shape[1:] or not once:
        return False
    return shape[1] * shape[2] > 1 and shape[3] != network.input_shape[3]


def _side(node: Any) -> int:
    return max(node.outputs[0].shape[1:3])
