"""The gradient of a convolution's kernel as matrix products, for many channels and small images, where oneDNN is slow.

There is one product for each position of the kernel: the pixels below it times the gradient of the output.
"""

import tensorflow as tf

from kerascnn.devices.hardware import cpu_flags
from kerascnn.devices.kernels import onednn
from kerascnn.layers.paths import fast

# Products are faster for few positions and many channels; with strides oneDNN is slower, and the limit is higher.
LEAST_CHANNELS, MOST_PLACES, MOST_PLACES_STRIDED = 128, 64, 289
LEAST_CHANNELS_AMX = 64  # channels of 1x1 kernels: the fewest of ResNet-50, for which it was measured
MOST_PLACES_STRIDED_FLOAT32 = 784
AVX2_FLOATS = 8  # numbers in a register
DEEP, MOST_PLACES_DEEP = 512, 196  # channels of 1x1 kernels in float32


def pays(x, kernel, strides: tuple[int, int], padding: str) -> bool:
    """Returns whether products are faster here; decided while tracing."""
    if None in x.shape[1:] or not (fast() and onednn(x.dtype)) or tf.config.list_physical_devices("GPU"):
        return False
    rows, columns = _places(x, kernel, strides, padding)
    if x.dtype == tf.float32:
        # Not measured with AVX-512, where oneDNN has other kernels.
        return "avx512bw" not in cpu_flags() and faster_in_float32(tuple(kernel.shape), rows * columns, strides)
    return x.dtype == tf.bfloat16 and faster(tuple(kernel.shape), rows * columns, strides, "amx_bf16" in cpu_flags())


def wrong_in_onednn(x, kernel, strides: tuple[int, int]) -> bool:
    """Returns whether oneDNN's gradient of this kernel may be wrong; decided while tracing.

    Of 1x1 kernels with strides over fewer than 8 channels its AVX2 form reads beyond the pixel: other values at each call,
    off by up to their own size (TensorFlow 2.21, float32). As a convolution without strides over every other pixel it is right.
    """
    strided = tuple(kernel.shape[:2]) == (1, 1) and max(strides) > 1
    return strided and kernel.shape[2] % AVX2_FLOATS > 0 and onednn(x.dtype) and "avx512bw" not in cpu_flags()


def faster(kernel: tuple[int, int, int, int], places: int, strides: tuple[int, int], amx: bool) -> bool:
    """Returns whether products are faster than oneDNN in bfloat16, by the kernel's shape, the output's size and AMX.

    Measured on a 2-core EPYC with avx512_bf16, ms for oneDNN's form and for products: 3x3, 512 to 512 channels, 7 x 7,
    batch 32: 39, 22; with stride 2, 16 x 16 to 7 x 7: 76, 26. A whole step of ResNet-50 takes 2 to 3 % less, of
    Inception v3 1 to 2 %; 1x1 kernels gain alone (2048 to 512, 7 x 7: 10.8, 9.1), half a per cent of a step:
    experiments/results/speed.md. On a 2-core CPU with AMX 1x1 kernels gain as well: oneDNN at 280 to 350 GFLOP/s, products
    at 660 to 1170, a step of ResNet-50 19.4 to 20.2 images/s.
    """
    height, width, inputs, outputs = kernel
    if height * width == 1:
        return amx and max(strides) == 1 and min(inputs, outputs) >= LEAST_CHANNELS_AMX
    few = places <= (MOST_PLACES_STRIDED if max(strides) > 1 else MOST_PLACES)
    return few and min(inputs, outputs) >= LEAST_CHANNELS


def faster_in_float32(kernel: tuple[int, int, int, int], places: int, strides: tuple[int, int]) -> bool:
    """Returns whether products are faster than oneDNN in float32 on a CPU with AVX2.

    Measured on a 2-core Zen 3 EPYC, ms for oneDNN's form and for products, batch 32: 3x3 with stride 2, 58 x 58 to 28 x 28, 128
    channels: 91, 64; 16 x 16 to 7 x 7, 512 channels: 127, 70; 1x1, 2048 to 512, 7 x 7: 31, 23; 1024 to 512, 14 x 14: 65,
    49. 3x3 without strides, 512 channels, 7 x 7: 65, 72; 1x1, 256 to 1024, 14 x 14: 36, 46: those are left to oneDNN.
    """
    height, width, inputs, outputs = kernel
    least = min(inputs, outputs)
    if height * width == 1:
        return least >= LEAST_CHANNELS and places <= (MOST_PLACES_DEEP if least >= DEEP else MOST_PLACES)
    return max(strides) > 1 and least >= LEAST_CHANNELS and places <= MOST_PLACES_STRIDED_FLOAT32


def _places(x, kernel, strides: tuple[int, int], padding: str) -> list[int]:
    """Returns height and width of the output."""
    lost = [size - 1 if padding.lower() == "valid" else 0 for size in kernel.shape[:2]]
    return [-(-(side - less) // step) for side, less, step in zip(x.shape[1:3], lost, strides, strict=True)]


def convolution(x, kernel, strides: tuple[int, int], padding: str):
    """A `tf.nn.conv2d` with padding "same" or "valid" whose kernel gradient is computed by products."""
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
    """Returns the gradient of a kernel of `shape` from the layer's input and its output's gradient; padding "SAME" or
    "VALID".
    """
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
    """Returns the padded `x` as (batch, rows, row in a step, columns, column in a step, channels).

    The input of a tap is then a slice without steps: TensorFlow's slices with steps cost more than the products gain.
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
