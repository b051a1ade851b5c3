"""Muon for kernels of convolutions."""

import functools
import math
from collections.abc import Callable

import keras
import tensorflow as tf
from keras import ops

from kerascnn.compat import keras as compat
from kerascnn.training.updating import Updating


@functools.cache
def _jordan(a: float, b: float, c: float, steps: int, dtype: str) -> Callable:
    """Maps a Gram matrix [n, n] to the product of the iteration's polynomials in it, [n, n].

    One function serves all kernels: tracing it for each would double the time until the first step.
    """

    def product_of(gram):
        unit = product = tf.eye(tf.shape(gram)[0], dtype=dtype)
        for _ in range(steps):
            factor = a * unit + b * gram + c * tf.matmul(gram, gram)
            product = tf.matmul(product, factor)
            gram = tf.matmul(tf.matmul(gram, factor), factor)
        return product

    return tf.function(product_of, input_signature=[tf.TensorSpec([None, None], dtype)], autograph=False)


@keras.saving.register_keras_serializable(package="kerascnn")
class Muon(Updating, compat.MuonOfChoice):
    """Updates kernels of convolutions by orthogonal matrices near their mean gradient, the rest by AdamW (Jordan et al., 2024).

    Keras' Muon leaves kernels with four axes to AdamW. Here such a kernel is a matrix of (height * width * inputs) x outputs.
    A step moves it by about the learning rate in every direction of its smaller side, whatever the size of the gradient.
    """

    def by_adamw(self, variable):
        return (
            len(variable.shape) != 4 or 1 in variable.shape[2:]
        )  # A depthwise kernel is not a matrix: it mixes no channels.

    def zeropower_via_newtonschulz5(self, x, steps):
        """Applies the polynomials of Jordan's iteration in x's smaller Gram matrix to x, once at the end.

        Each is a polynomial in x^T x times x, so that the products with x itself, which are expensive for long kernels, are
        two in total instead of two per step. Not on a GPU: a Gram matrix squares the ratio of singular values, which
        TensorFloat-32 does not resolve.
        """
        matrix = ops.reshape(x, (-1, x.shape[-1]))
        if tf.config.list_physical_devices("GPU"):
            return ops.reshape(super().zeropower_via_newtonschulz5(matrix, steps), x.shape)
        matrix = matrix / (ops.norm(matrix) + 1e-7)
        tall = matrix.shape[0] >= matrix.shape[1]
        gram = ops.matmul(ops.transpose(matrix), matrix) if tall else ops.matmul(matrix, ops.transpose(matrix))
        product = _jordan(self.muon_a, self.muon_b, self.muon_c, steps, x.dtype)(gram)
        return ops.reshape(ops.matmul(matrix, product) if tall else ops.matmul(product, matrix), x.shape)

    def lr_adjust(self, x):
        return x * max(1.0, x.shape[-1] / math.prod(x.shape[:-1])) ** 0.5
