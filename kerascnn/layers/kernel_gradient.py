"""The gradient to a convolution's kernel as matrix products, where oneDNN's own form is slow: deep, small images; 1x1 with AMX.

One product for each of the kernel's places: the pixels below it against the output's gradient.
"""

import tensorflow as tf

from kerascnn.devices.hardware import cpu_flags
from kerascnn.layers.paths import fast, onednn

# Products win where there are few places for many channels; with strides oneDNN is slower, and more places are few.
LEAST_CHANNELS, MOST_PLACES, MOST_PLACES_STRIDED = 128, 64, 289
LEAST_CHANNELS_AMX = 64  # of 1x1 kernels: the fewest that ResNet-50 has, where it was measured


def pays(x, kernel, strides: tuple[int, int], padding: str) -> bool:
    """Whether products are faster here; decided while tracing."""
    if None in x.shape[1:] or not (fast() and onednn()) or tf.config.list_physical_devices("GPU"):
        return False
    rows, columns = _places(x, kernel, strides, padding)
    return x.dtype == tf.bfloat16 and faster(tuple(kernel.shape), rows * columns, strides, "amx_bf16" in cpu_flags())


def faster(kernel: tuple[int, int, int, int], places: int, strides: tuple[int, int], amx: bool) -> bool:
    """Whether products beat oneDNN's form in bfloat16, by the kernel's shape, the output's places and AMX or none.

    Measured on a 2-core EPYC with avx512_bf16, ms for oneDNN's form and for products: 3x3, 512 to 512 channels, 7 x 7,
    batch 32: 39, 22; with stride 2, 16 x 16 to 7 x 7: 76, 26. A whole step of ResNet-50 takes 2 to 3 % less, of
    Inception v3 1 to 2 %; 1x1 kernels gain alone (2048 to 512, 7 x 7: 10.8, 9.1), half a per cent of a step:
    experiments/results/speed.md. With AMX, where that table could not be measured, 1x1 kernels gain as well: oneDNN at
    280 to 350 GFLOP/s, products at 660 to 1170, a step of ResNet-50 19.4 to 20.2 images/s (the project's traps.md).
    """
    height, width, inputs, outputs = kernel
    if height * width == 1:
        return amx and max(strides) == 1 and min(inputs, outputs) >= LEAST_CHANNELS_AMX
    few = places <= (MOST_PLACES_STRIDED if max(strides) > 1 else MOST_PLACES)
    return few and min(inputs, outputs) >= LEAST_CHANNELS


def _places(x, kernel, strides: tuple[int, int], padding: str) -> list[int]:
    """Height and width of the output."""
    lost = [size - 1 if padding.lower() == "valid" else 0 for size in kernel.shape[:2]]
    return [-(-(side - less) // step) for side, less, step in zip(x.shape[1:3], lost, strides, strict=True)]


def convolution(x, kernel, strides: tuple[int, int], padding: str):
    """`tf.nn.conv2d`, padding "same" or "valid", whose gradient to the kernel is made of products."""
    padding = padding.upper()

    @tf.custom_gradient
    def forward(x, kernel):
        def backward(gradient):
            to_x = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(x),
                filter=kernel,
                out_backprop=gradient,
                strides=[1, *strides, 1],
                padding=padding,
            )
            return to_x, products(x, gradient, kernel.shape, strides, padding)

        return tf.nn.conv2d(x, kernel, strides, padding), backward

    return forward(x, kernel)


def products(x, gradient, shape, strides: tuple[int, int], padding: str):
    """The gradient to a kernel of `shape` from the layer's input and its output's gradient; padding "SAME" or "VALID"."""
    height, width, inputs, outputs = shape
    rows, columns = gradient.shape[1:3]
    if height == width == max(strides) == 1:
        flat = tf.reshape(x, (-1, inputs)), tf.reshape(gradient, (-1, outputs))
        return tf.reshape(tf.matmul(*flat, transpose_a=True), shape)
    x = _phases(x, shape, (rows, columns), strides, padding)
    gradient = tf.reshape(gradient, (-1, outputs))
    down, right = strides
    places = [
        tf.matmul(
            tf.reshape(
                x[:, i // down : i // down + rows, i % down, j // right : j // right + columns, j % right], (-1, inputs)
            ),
            gradient,
            transpose_a=True,
        )
        for i in range(height)
        for j in range(width)
    ]
    return tf.reshape(tf.stack(places), shape)


def _phases(x, shape, places, strides, padding):
    """`x`, padded, as (batch, rows, row in a step, columns, column in a step, channels).

    What a tap sees is then a slice without steps: TensorFlow's slices with steps cost more than the products gain.
    """
    around = [(0, 0)]
    needed = []
    for size, side, count, step in zip(shape, x.shape[1:3], places, strides, strict=False):
        total = max((count - 1) * step + size - side, 0) if padding == "SAME" else 0
        needed.append((count + (size - 1) // step) * step)
        around.append((total // 2, max(needed[-1] - side - total // 2, 0)))
    x = tf.pad(x, (*around, (0, 0)))[:, : needed[0], : needed[1]]
    down, right = strides
    return tf.reshape(x, (-1, needed[0] // down, down, needed[1] // right, right, x.shape[-1]))
