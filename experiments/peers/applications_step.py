"""The training step of a network of keras.applications on the CPU, by `model.fit`: images per second.

    python -m experiments.peers.applications_step ResNet50 --size 224 --batch 32 --steps 3 [--policy float32]

kerascnn is not imported: this is what a program of Keras alone gets, oneDNN as TensorFlow chooses. Random images from
memory, SGD with momentum, one pass to warm up, and the faster of two passes of `--steps` steps.
"""

import argparse
import time
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

CLASSES = 10
PASSES = 2


def compiled(name: str, size: int) -> keras.Model:
    """A fresh network of keras.applications with logits as its output."""
    build = getattr(keras.applications, name)
    model = build(weights=None, input_shape=(size, size, 3), classes=CLASSES, classifier_activation=None)
    model.compile(
        optimizer=keras.optimizers.SGD(learning_rate=0.1, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,  # as kerascnn on a CPU
    )
    return model


def batches(size: int, batch: int, steps: int) -> tf.data.Dataset:
    """`steps` batches of noise."""
    rng = np.random.default_rng(0)
    images = rng.random((batch * steps, size, size, 3), dtype=np.float32)
    labels = rng.integers(CLASSES, size=batch * steps)
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(batch).prefetch(tf.data.AUTOTUNE)


def rate(name: str, size: int, batch: int, steps: int) -> float:
    """Images per second of the faster pass."""
    model, data = compiled(name, size), batches(size, batch, steps)
    model.fit(data, verbose=0)
    fastest = float("inf")
    for _ in range(PASSES):
        start = time.perf_counter()
        model.fit(data, verbose=0)
        fastest = min(fastest, time.perf_counter() - start)
    return batch * steps / fastest


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="as in keras.applications: ResNet50, InceptionV3, ...")
    parser.add_argument("--size", type=int, required=True, help="height and width of the images")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--policy", default="mixed_bfloat16", help="dtype policy")
    parser.add_argument("--steps", type=int, default=10, help="of each pass")
    args = parser.parse_args(argv)
    keras.config.set_dtype_policy(args.policy)
    found = rate(args.name, args.size, args.batch, args.steps)
    print(f"keras {args.name} {args.policy}: {found:.1f} images/s")


if __name__ == "__main__":
    main()
