"""The exported network: normalizations folded into the preceding convolutions, with probabilities and features as outputs."""

import itertools
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from kerascnn import models
from kerascnn.architectures.steps import Conv, Norm
from kerascnn.artefacts.file_rules import FileRules
from kerascnn.artefacts.further_graph import Further
from kerascnn.compat import keras as compat
from kerascnn.layers import ConvBN, SeparableConvBN
from kerascnn.layers.described import Described
from kerascnn.models import ensemble
from kerascnn.scoring.task import SINGLE, Task


class Shift(keras.layers.Layer):
    """Adds one number to each channel: the rest of a folded normalization. Channels-last.

    Input and output: (batch, height, width, channels).
    """

    def build(self, input_shape):
        self.shift = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="shift")

    def call(self, x):
        # TensorFlow, LiteRT and onnxruntime fuse only BiasAdd with the preceding convolution.
        return tf.nn.bias_add(x, self.shift)


def folded(model: keras.Model) -> keras.Model:
    """Returns a float32 copy of `model` with the same logits and fewer operations.

    A normalization in inference is gamma (x - mean) / sqrt(variance + epsilon) + beta, one factor and one summand per channel
    (Ioffe and Szegedy, 2015, section 3.1): the factor goes into the preceding kernel, the summand becomes a `Shift`. The copy
    is for inference and exports; it is neither trained nor saved as `.keras`. `model` is not changed.
    """
    copy = models.float32_twin(model)
    for layer in compat.nested_layers(copy):
        for convolution, holder in _pairs(layer):
            _fold(convolution, holder)
    return copy


def _pairs(layer: keras.layers.Layer) -> Iterator[tuple[keras.layers.Layer, keras.layers.Layer]]:
    """Convolutions in a layer whose output nothing but a normalization sees, and the layers that hold those as `bn`.

    A normalization at the head of a pre-activation block follows a sum, and stays.
    """
    if isinstance(layer, ConvBN):
        yield layer.conv, layer
    elif isinstance(layer, SeparableConvBN):
        yield layer.pointwise, layer
    elif isinstance(layer, Described):
        for branch in layer.block.branches:
            for step, following in itertools.pairwise(branch):
                if isinstance(step, Conv) and not step.norm and isinstance(following, Norm):
                    yield getattr(layer, step.name), getattr(layer, following.name)


def calibrated(model: keras.Model, temperature: float) -> keras.Model:
    """Returns a copy of `model` with its logits divided by `temperature` (Guo et al., 2017, section 4.2); their order stays.

    Raises:
        ValueError: The temperature is not positive.
    """
    if not 0 < temperature < np.inf:
        raise ValueError(f"expected a temperature above 0, got {temperature}")
    copy = models.float32_twin(model)
    head = models.head(copy)
    if head.name not in models.HEADS:  # of another network, where a bias or an activation may follow
        x = keras.layers.Rescaling(1 / temperature, dtype="float32", name="temperature")(copy.layers[-1].input)
        return keras.Model(copy.inputs[0], keras.layers.Identity(dtype="float32", name="logits")(x), name=copy.name)
    for variable in head.variables:
        variable.assign(variable / temperature)
    return copy


def served(model: keras.Model, task: Task = SINGLE) -> keras.Model:
    """Returns the network with the outputs of an artefact: `probabilities` [batch, classes] and pooled `features` [batch,
    channels].
    """
    if task.several:
        probabilities = keras.layers.Activation(task.activation, dtype="float32", name="probabilities")(model.output)
    else:
        probabilities = keras.layers.Softmax(dtype="float32", name="probabilities")(model.output)
    outputs = {"probabilities": probabilities, "features": ensemble.features_of(model)}
    return keras.Model(model.inputs[0], outputs, name="served")


def with_further(network: keras.Model, rules: FileRules) -> keras.Model:
    """Returns a network of `served` with the further outputs of `rules` beside its own, which share its layers."""
    probabilities = network.output["probabilities"]
    logits = network.get_layer("probabilities").input
    further = Further(rules, dtype="float32", name="further")((probabilities, logits))
    return keras.Model(network.inputs[0], {**network.output, **further}, name="served")


def _fold(convolution: keras.layers.Layer, holder: keras.layers.Layer) -> None:
    """Folds `holder.bn` into the preceding convolution, in place."""
    norm = holder.bn
    factor = 1 / np.sqrt(norm.moving_variance.numpy() + np.float32(norm.epsilon))
    factor = factor * norm.gamma.numpy() if norm.scale else factor
    before = convolution.bias.numpy() if convolution.use_bias else 0.0
    offset = norm.beta.numpy() if norm.center else 0.0
    convolution.kernel.assign(convolution.kernel.numpy() * factor)  # output channels are the last axis of a kernel
    convolution.use_bias = False
    shift = Shift(dtype="float32", name="bn")
    shift.build((None, None, None, len(factor)))
    shift.shift.assign(offset + (before - norm.moving_mean.numpy()) * factor)
    compat.exchange(holder, "bn", shift)
