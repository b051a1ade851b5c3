"""Weights and images as pure functions of names and shapes: the same in torch's environment and in ours. Only numpy.

`PCG64.random_raw` is what numpy promises to keep; the rest is arithmetic on its integers.
"""

import hashlib
import math

import numpy as np


def uniform(name: str, shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
    """float32 numbers in [low, high), from 24 random bits each."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    count = math.prod(shape)
    bits = np.random.PCG64(seed).random_raw((count + 1) // 2).view(np.uint32)[:count] >> 8
    values = bits.astype(np.float32) * np.float32((high - low) / 2**24) + np.float32(low)
    return values.reshape(shape)


def tensor(name: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    """A tensor of a torch state dict: variances of `gain` / fan-in in kernels, scales and variances around 1.

    Residual networks take a gain of 1, since every block adds to the sum; plain ones 2 (He et al., 2015).
    """
    kind = name.rsplit(".", 1)[-1]
    if kind == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if kind == "running_var":
        return uniform(name, shape, 0.5, 1.5)
    if kind in ("running_mean", "bias"):
        return uniform(name, shape, -0.2, 0.2)
    if len(shape) == 1:
        return uniform(name, shape, 0.8, 1.2)
    bound = math.sqrt(3 * gain / math.prod(shape[1:]))
    return uniform(name, shape, -bound, bound)


def variable(path: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    """The same for a variable of Keras, whose kernels have output channels last."""
    kind = path.rsplit("/", 1)[-1]
    if kind == "moving_variance":
        return uniform(path, shape, 0.5, 1.5)
    if kind == "gamma":
        return uniform(path, shape, 0.8, 1.2)
    if len(shape) == 1:
        return uniform(path, shape, -0.2, 0.2)
    bound = math.sqrt(3 * gain / math.prod(shape[:2] if kind == "depthwise_kernel" else shape[:-1]))
    return uniform(path, shape, -bound, bound)


def image(side: int) -> np.ndarray:
    """uint8 pixels (side, side, 3): coarse squares of any colour, under fine noise."""
    noise = uniform(f"image {side}", (2, side, side, 3), 0, 1)
    coarse = noise[0, ::16, ::16].repeat(16, 0).repeat(16, 1)[:side, :side]
    return (200 * coarse + 55 * noise[1]).astype(np.uint8)
