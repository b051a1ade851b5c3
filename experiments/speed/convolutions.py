"""What a training step's convolutions alone cost here, each timed by itself: about what is left when all around them is free.

    python -m experiments.speed.convolutions resnet50 224 32 [--repeats 5]

The convolutions are those of the traced network, their three passes TensorFlow's own operations in bfloat16 (float32 with
--dtype), gradients to the kernel by products where the layers take them. The first convolution's gradient to the image is
left out: training does not ask for it. No strict bound: branches that run side by side can beat the sum. Alone on the machine.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple


class Convolution(NamedTuple):
    """Shapes of the input and the kernel, strides and padding of one convolution."""

    image: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str


def convolutions(arch: str, size: int, batch: int) -> Counter[Convolution]:
    """How often each convolution stands in the network, groups and depthwise ones left out."""
    import tensorflow as tf

    from kerascnn import models

    network = models.build(arch, (size, size, 3), 10)
    spec = tf.TensorSpec([batch, size, size, 3], tf.float32)
    graph = tf.function(lambda x: network(x, training=False), input_signature=[spec]).get_concrete_function().graph
    found = [op for op in graph.get_operations() if op.type == "Conv2D"]
    return Counter(
        Convolution(
            tuple(op.inputs[0].shape),
            tuple(op.inputs[1].shape),
            tuple(op.get_attr("strides")),
            op.get_attr("padding").decode(),
        )
        for op in found
        if op.inputs[0].shape[-1] == op.inputs[1].shape[2]
    )


def passes(one: Convolution, dtype: str) -> dict[str, Callable[[], object]]:
    """The three passes of a convolution; a single number is fetched, since copying would be timed too."""
    import tensorflow as tf

    from kerascnn.layers import kernel_gradient

    options = {"strides": one.strides, "padding": one.padding}
    x, kernel = (tf.cast(tf.random.normal(shape), dtype) for shape in (one.image, one.kernel))
    y = tf.nn.conv2d(x, kernel, **options)
    to_input = tf.function(
        lambda k, g: tf.raw_ops.Conv2DBackpropInput(input_sizes=one.image, filter=k, out_backprop=g, **options)[
            0, 0, 0, 0
        ]
    )
    how = one.kernel, one.strides[1:3], one.padding
    by_products = kernel_gradient.pays(x, kernel, *how[1:])

    def kernel_gradient_of(a, g):
        if by_products:
            return kernel_gradient.products(a, g, *how)[0, 0, 0, 0]
        return tf.raw_ops.Conv2DBackpropFilter(input=a, filter_sizes=one.kernel, out_backprop=g, **options)[0, 0, 0, 0]

    to_kernel = tf.function(kernel_gradient_of)
    forward = tf.function(lambda a, k: tf.nn.conv2d(a, k, **options)[0, 0, 0, 0])
    found: dict[str, Callable[[], object]] = {
        "forward": lambda: forward(x, kernel).numpy(),
        "to the input": lambda: to_input(kernel, y).numpy(),
        "to the kernel": lambda: to_kernel(x, y).numpy(),
    }
    if one.image[-1] == 3:
        del found["to the input"]
    return found


def operations(one: Convolution) -> float:
    """Floating-point operations of a pass."""
    height, width, inputs, outputs = one.kernel
    sides = (
        one.image[1:3]
        if one.padding == "SAME"
        else [a - b + 1 for a, b in zip(one.image[1:3], one.kernel, strict=False)]
    )
    rows, columns = (-(-side // stride) for side, stride in zip(sides, one.strides[1:3], strict=True))
    return 2.0 * one.image[0] * rows * columns * height * width * inputs * outputs


def fastest(call: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest call: what the machine can do."""
    call()
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return min(found)


def nothing() -> Callable[[], object]:
    """A call that computes nothing: what every other one costs beside its operation."""
    import tensorflow as tf

    one = tf.zeros([1, 1, 1, 1])
    pick = tf.function(lambda x: x[0, 0, 0, 0])
    return lambda: pick(one).numpy()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arch")
    parser.add_argument("size", type=int)
    parser.add_argument("batch", type=int)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    args = parser.parse_args()

    from kerascnn.devices import timing

    empty = fastest(nothing(), 100)
    seconds: Counter[str] = Counter()
    work: Counter[str] = Counter()
    for one, count in convolutions(args.arch, args.size, args.batch).items():
        for name, call in passes(one, args.dtype).items():
            seconds[name] += count * (fastest(call, args.repeats) - empty)
            work[name] += count * operations(one)
    for name, spent in seconds.items():
        print(f"{name:<14} {1000 * spent:7.0f} ms {work[name] / spent / 1e9:6.0f} GFLOP/s")
    whole = sum(seconds.values())
    print(f"together       {1000 * whole:7.0f} ms: {args.batch / whole:.1f} images/s if all else cost nothing")
    print(f"a product of 2048 x 2048 matrices: {timing.matmul_peak(args.dtype) / 1e9:.0f} GFLOP/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
