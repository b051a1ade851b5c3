"""A training that takes the lease of a run, writes its history and ends: reads orders from standard input. No TensorFlow."""

import json
import random
import sys
import time

from kerascnn.runs import Run

COLUMNS = ("lr", "loss", "accuracy", "val_loss", "val_accuracy", "images_per_second", "input_wait")


def main() -> None:
    """Trains one run after the other, each for as many seconds as the first word says."""
    seconds = float(sys.argv[1])
    print("ready", flush=True)
    for line in sys.stdin:
        path, until = json.loads(line)
        run = Run(path)
        with run.lock():
            rows = run.history()
            draw = random.Random(run.name)
            while len(rows) < until:
                time.sleep(seconds / until)
                row = {name: draw.random() for name in COLUMNS}
                rows.append({"epoch": float(len(rows) + 1), **row, "seconds": 1.0})
                run.write_history(rows)
        print("done", flush=True)


if __name__ == "__main__":
    main()
