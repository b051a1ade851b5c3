"""Layers one behind the other, inside a layer."""

from keras import layers


def build_chain(chain, input_shape):
    """Builds each layer on the one before; returns the last one's output shape."""
    for layer in chain:
        layer.build(input_shape)
        input_shape = layer.compute_output_shape(input_shape)
    return input_shape


def through(chain, x):
    """`x` after each layer of a chain in turn."""
    for layer in chain:
        x = layer(x)
    return x


def chain_shape(chain, shape):
    """The shape that a chain makes of `shape`."""
    for layer in chain:
        shape = layer.compute_output_shape(shape)
    return shape


def identity(name, policy):
    """A layer that stands where a block has nothing to do, so that `call` needs no choice."""
    return layers.Identity(dtype=policy, name=name)


def strided_shape(input_shape, strides: int, filters: int):
    """The shape that a block with symmetric padding makes of `input_shape`."""
    batch, height, width, _ = input_shape
    return batch, height and -(-height // strides), width and -(-width // strides), filters
