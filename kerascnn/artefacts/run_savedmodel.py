"""Run a SavedModel in a process that knows nothing of kerascnn, as a user of it would; `parity` starts it as a script.

    python run_savedmodel.py VERSION_DIRECTORY INPUTS.npz OUTPUTS.npz

Inputs: `images` float32 [n, H, W, 3], and `bytes` with `ends` (n files' contents, one behind the other, and where each ends).
Outputs: the probabilities of each, `images` and `bytes`, float32 [n, classes].
"""

import sys
from collections.abc import Sequence

BATCH = 32


def main(version: str, inputs: str, outputs: str) -> None:
    """Ask both signatures, batch by batch."""
    import numpy as np
    import tensorflow as tf

    loaded = tf.saved_model.load(version)
    with np.load(inputs) as arrays:
        images, content, ends = arrays["images"], arrays["bytes"], arrays["ends"].tolist()
    files = [content[start:end].tobytes() for start, end in zip([0, *ends], ends, strict=False)]

    def ask(signature: str, key: str, given: Sequence) -> np.ndarray:
        batches = [tf.constant(given[i : i + BATCH]) for i in range(0, len(given), BATCH)]
        answers = [loaded.signatures[signature](**{key: batch})["probabilities"].numpy() for batch in batches]
        return np.concatenate(answers) if answers else np.empty((0, 0), np.float32)

    np.savez(outputs, images=ask("images", "images", images), bytes=ask("serving_default", "image_bytes", files))


if __name__ == "__main__":
    # Modules beside this file must not be taken for the libraries they are named after, nor the package be there at all.
    del sys.path[0]
    main(*sys.argv[1:])
    if "kerascnn" in sys.modules:
        raise SystemExit("the SavedModel imported kerascnn: it must not need it")
