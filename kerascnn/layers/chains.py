"""Chains of layers inside a layer."""

from keras import layers


def build_chain(chain, input_shape):
    """Builds each layer for the output of the one before; returns the last output shape."""
    for layer in chain:
        layer.build(input_shape)
        input_shape = layer.compute_output_shape(input_shape)
    return input_shape


def through(chain, x):
    """Applies each layer of a chain in turn to `x`."""
    for layer in chain:
        x = layer(x)
    return x


def chain_shape(chain, shape):
    """Returns the output shape of a chain for the input shape `shape`."""
    for layer in chain:
        shape = layer.compute_output_shape(shape)
    return shape


def identity(name, policy):
    """Returns an identity layer, so that `call` needs no condition."""
    return layers.Identity(dtype=policy, name=name)


def strided_shape(input_shape, strides: int, filters: int):
    """Returns the output shape of a block with symmetric padding."""
    batch, height, width, _ = input_shape
    return batch, height and -(-height // strides), width and -(-width // strides), filters
