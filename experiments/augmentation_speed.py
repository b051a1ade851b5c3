"""Images per second and core of each augmentation: this package's, Keras' layer of the same purpose, and torchvision's v2.

    python experiments/augmentation_speed.py --torchvision TORCH_ENVIRONMENT/bin/python

One thread each, batches of 32 images of 112 px, uint8. The three are timed in turns, so that a busy machine slows all of them;
the best of the turns counts. torchvision runs in an environment of its own and maps single images of a batch, as its loaders do.
"""

import argparse
import subprocess
import sys
import time

SIZE, BATCH, TURNS, SECONDS = 112, 32, 3, 0.7
_BILINEAR = "interpolation=T.InterpolationMode.BILINEAR"
# Name -> value of --augment, expression of Keras' layer, expression of torchvision's transform.
ROWS = {
    "flip": ("flip", "L.RandomFlip('horizontal')", "T.RandomHorizontalFlip()"),
    "color": ("color", "L.RandomColorJitter((0, 255), 0.4, 0.4, 0.4)", "T.ColorJitter(0.4, 0.4, 0.4)"),
    "grayscale": ("grayscale", "L.RandomGrayscale(0.1)", "T.RandomGrayscale(0.1)"),
    "erasing": ("erase-const-p1", "L.RandomErasing(1.0, scale=(0.02, 0.33))", "T.RandomErasing(1.0)"),
    "rotation": ("rotate-m30", "L.RandomRotation(30 / 360)", "T.RandomRotation(30, T.InterpolationMode.BILINEAR)"),
    "perspective": ("perspective-p1", "L.RandomPerspective(1.0)", "T.RandomPerspective(0.5, 1.0)"),
    "blur": ("blur-p1", "L.RandomGaussianBlur(1.0, 9, 2.0)", "T.GaussianBlur(9, (0.1, 2.0))"),
    "posterize": ("posterize-p1", "L.RandomPosterization(4)", "T.RandomPosterize(4, 1.0)"),
    "solarize": ("solarize-p1", "L.Solarization(0, 128)", "T.RandomSolarize(128, 1.0)"),
    "equalize": ("equalize-p1", "L.Equalization((0, 255))", "T.RandomEqualize(1.0)"),
    "invert": ("invert-p1", "L.RandomInvert(1.0)", "T.RandomInvert(1.0)"),
    "RandAugment": (
        "ra-m9-n2",
        "L.RandAugment((0, 255), num_ops=2, factor=0.3)",
        f"T.RandAugment(2, 9, {_BILINEAR})",
    ),
    "RandAugment, timm": ("rand-m9-mstd0.5-inc1", "", ""),
    "TrivialAugment": ("ta_wide", "", f"T.TrivialAugmentWide({_BILINEAR})"),
    "AutoAugment": ("aa-imagenet", "", f"T.AutoAugment({_BILINEAR})"),
    "AugMix": ("augmix", "L.AugMix((0, 255))", "T.AugMix()"),
    "3-Augment": ("3a", "", ""),
}


def rate(step) -> float:
    """Returns images per second of a function that makes a batch."""
    batches, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        step()
        batches += 1
    return batches * BATCH / (time.perf_counter() - start)


def serve_torchvision() -> None:
    """Answers each transform on standard input by its images per second."""
    import torch
    from torchvision.transforms import v2 as T  # noqa: F401, N812 - the expressions name it

    torch.set_num_threads(1)
    images = torch.randint(0, 256, (BATCH, 3, SIZE, SIZE), dtype=torch.uint8)
    for line in sys.stdin:
        transform = eval(line)
        print(rate(lambda transform=transform: [transform(image) for image in images]), flush=True)


def ours_and_keras(word: str, layer: str):
    """Returns functions that make a batch by this package and by Keras' layer, or None without one."""
    import keras
    import tensorflow as tf
    from keras import layers as L  # noqa: F401, N812 - the expressions name it

    from kerascnn.config import Augment
    from kerascnn.data import augment

    images = keras.random.randint((BATCH, SIZE, SIZE, 3), 0, 256, seed=0)
    images = tf.cast(images, tf.uint8)
    index = tf.range(BATCH, dtype=tf.int64)
    section = Augment()
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.experimental_optimization.apply_default_optimizations = False

    def stream(function):
        numbers = tf.data.Dataset.counter().map(tf.autograph.experimental.do_not_convert(function))
        iterator = iter(numbers.with_options(options))
        next(iterator)
        return lambda: next(iterator)

    ours = stream(lambda n: augment.vary(images, (word,), section, 0, tf.fill([BATCH], n), index))
    if not layer:
        return ours, None
    made = eval(layer)
    return ours, stream(lambda n: tf.cast(made(images, training=True), tf.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torchvision", metavar="PYTHON", help="interpreter that has torchvision")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve_torchvision()
        return
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    other = asked.torchvision and subprocess.Popen(
        [asked.torchvision, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    print("| augmentation | here | Keras | here / Keras | torchvision v2 | here / torchvision |")
    print("|---|---|---|---|---|---|")
    for name, (word, layer, transform) in ROWS.items():
        best = [0.0, 0.0, 0.0]
        try:
            steps = ours_and_keras(word, layer)
        except Exception as error:
            print(f"<!-- {name}: {type(error).__name__}: {str(error)[:100]!r} -->", flush=True)
            steps = ours_and_keras(word, "")
        for _ in range(TURNS):
            for place, step in enumerate(steps):
                if step:
                    best[place] = max(best[place], rate(step))
            if other and transform:
                other.stdin.write(transform + "\n")
                other.stdin.flush()
                best[2] = max(best[2], float(other.stdout.readline()))
        shown = [f"{best[0]:,.0f}"]
        for value in best[1:]:
            shown += [f"{value:,.0f}", f"{best[0] / value:.1f}"] if value else ["", ""]
        print(f"| {name} (`{word}`) | {' | '.join(shown)} |", flush=True)
    if other:
        other.stdin.close()
        other.wait()


if __name__ == "__main__":
    main()
