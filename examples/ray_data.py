"""Predictions with Ray Data: rows of images in, rows of predictions out, with the network loaded once per actor.

    python examples/ray_data.py NETWORK FOLDER OUTPUT

Needs `pip install "ray[data]"`. The rows come in no order, and a second start begins anew: for a folder of predictions that
continues after a kill, `kerascnn predict NETWORK FOLDER --output OUTPUT` needs no Ray Data.
"""

import sys
from pathlib import Path

import ray

BATCH = 64


class Classifier:
    """A network in an actor."""

    def __init__(self, network: str) -> None:
        import kerascnn  # in the actor: TensorFlow starts there, once

        self.network = kerascnn.load(network)

    def __call__(self, batch: dict) -> dict:
        """Adds the most probable class and its probability to rows with a column `path`."""
        probabilities = self.network.predict(list(batch["path"]))
        names = self.network.class_names
        return {**batch, "class": [names[i] for i in probabilities.argmax(1)], "probability": probabilities.max(1)}


def main(network: str, folder: str, output: str) -> None:
    """Predicts the JPEG and PNG files of a folder, and writes Parquet."""
    paths = [str(path) for path in sorted(Path(folder).resolve().rglob("*")) if path.suffix in (".jpg", ".png")]
    rows = ray.data.from_items([{"path": path} for path in paths])
    found = rows.map_batches(
        Classifier, fn_constructor_args=(network,), batch_size=BATCH, compute=ray.data.ActorPoolStrategy(size=1)
    )
    found.write_parquet(str(Path(output).resolve()))


if __name__ == "__main__":
    main(*sys.argv[1:])
