"""The gradient to a convolution's kernel as matrix products, where oneDNN's own form is slow: deep, small images.

One product for each of the kernel's places: the pixels below it against the output's gradient.
"""

import tensorflow as tf

from kerascnn.layers.paths import fast, onednn

# Products win where there are few places for many channels.
MOST_PLACES, LEAST_CHANNELS = 64, 128


def pays(x, kernel, strides: tuple[int, int], padding: str) -> bool:
    """Whether products are faster on a CPU; decided while tracing.

    Measured on a 2-core EPYC with avx512_bf16, ms for oneDNN's form and for products: 3x3, 512 to 512 channels, 4 x 4,
    batch 128: 135, 54; 7 x 7, batch 32: 106, 44; 3x3, 128 to 128, 28 x 28, batch 32, which is left to oneDNN: 63, 78.
    A whole step of resnet9 takes 3.5 % less, of resnet50 and inception_v3 as long (experiments/results/speed.md).
    """
    if None in x.shape[1:] or max(strides) > 1 or not (fast() and onednn()) or tf.config.list_physical_devices("GPU"):
        return False
    height, width, inputs, outputs = kernel.shape
    rows, columns = x.shape[1:3]
    if padding == "valid":
        rows, columns = rows - height + 1, columns - width + 1
    deep = rows * columns <= MOST_PLACES and min(inputs, outputs) >= LEAST_CHANNELS
    return deep and height * width > 1 and x.dtype == tf.bfloat16


def convolution(x, kernel, padding: str):
    """`tf.nn.conv2d` with stride 1, padding "same" or "valid", whose gradient to the kernel is made of products."""
    padding = padding.upper()

    @tf.custom_gradient
    def forward(x, kernel):
        def backward(gradient):
            to_x = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(x), filter=kernel, out_backprop=gradient, strides=[1] * 4, padding=padding
            )
            return to_x, _to_kernel(_padded(x, kernel) if padding == "SAME" else x, gradient, kernel.shape)

        return tf.nn.conv2d(x, kernel, 1, padding), backward

    return forward(x, kernel)


def _padded(x, kernel):
    before = [(side - 1) // 2 for side in kernel.shape[:2]]
    after = [side // 2 for side in kernel.shape[:2]]
    return tf.pad(x, ((0, 0), *zip(before, after, strict=True), (0, 0)))


def _to_kernel(x, gradient, shape):
    height, width, inputs, outputs = shape
    rows, columns = gradient.shape[1:3]
    gradient = tf.reshape(gradient, (-1, outputs))
    products = [
        tf.matmul(tf.reshape(x[:, i : i + rows, j : j + columns], (-1, inputs)), gradient, transpose_a=True)
        for i in range(height)
        for j in range(width)
    ]
    return tf.reshape(tf.stack(products), shape)
