"""Seconds of all-reduces by processes of this machine, with the collectives of TensorFlow over gRPC, as JSON.

python -m experiments.scaling.collectives --processes 2
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from statistics import median

FLOATS = (1, 10_000, 270_000, 2_500_000, 25_600_000)  # the last ones are about the gradients of resnet20 to resnet50
REPEATS = 12


def worker() -> None:
    """One process: reduces each size several times; the first process prints the seconds of each."""
    import tensorflow as tf

    strategy = tf.distribute.MultiWorkerMirroredStrategy()

    @tf.function(reduce_retracing=True)
    def reduce(values: tf.Tensor) -> tf.Tensor:
        def one(own: tf.Tensor) -> tf.Tensor:
            here = tf.identity(own)  # on the replica's device
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, here)

        return strategy.run(one, args=(values,))

    found: dict[str, float] = {}
    for floats in FLOATS:
        values, seconds = tf.ones([floats]), []
        for _ in range(REPEATS):
            begun = time.perf_counter()
            total = reduce(values)
            seconds.append(time.perf_counter() - begun)
            assert float(total[0]) == strategy.num_replicas_in_sync
        found |= {f"median.{floats}": median(seconds[2:]), f"least.{floats}": min(seconds)}
    if json.loads(os.environ["TF_CONFIG"])["task"]["index"] == 0:
        print(json.dumps(found), flush=True)


def free_ports(count: int) -> list[int]:
    """Returns ports of loopback that nobody uses now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def measure(processes: int) -> dict[str, float]:
    """Returns the seconds that the first of several processes has measured."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(processes)]
    started = []
    for index in range(processes):
        config = json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})
        command = [sys.executable, "-m", "experiments.scaling.collectives", "--worker"]
        variables = {**os.environ, "TF_CONFIG": config, "CUDA_VISIBLE_DEVICES": "-1"}
        out = subprocess.PIPE if index == 0 else subprocess.DEVNULL
        started.append(subprocess.Popen(command, env=variables, stdout=out, stderr=subprocess.DEVNULL, text=True))
    text = started[0].communicate()[0]
    if any(one.wait() for one in started):
        raise SystemExit("a process failed: run it with --worker and TF_CONFIG to see why")
    found: dict[str, float] = json.loads(text.splitlines()[-1])
    return found


def main() -> None:
    """Prints the seconds, or is one of the processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--worker", action="store_true", help="one of the processes, as TF_CONFIG says")
    given = parser.parse_args()
    if given.worker:
        worker()
    else:
        print(json.dumps(measure(given.processes)))


if __name__ == "__main__":
    main()
