"""TensorFlow's strategy for the workers of one training, and its way of summing gradients."""

import functools
import os
import platform
from collections.abc import Sequence

import tensorflow as tf

from kerascnn.devices.cluster import Cluster
from kerascnn.errors import UserError

RING, NCCL = "RING", "NCCL"
# Chooses the way of summing where the automatic choice does not work: ring or nccl.
VARIABLE = "KERASCNN_COLLECTIVES"


def collectives(kind: str, gpus: Sequence[int], system: str, asked: str = "") -> str:
    """Returns how gradients are summed over workers: NCCL between GPUs on Linux, else TensorFlow's ring over gRPC.

    Args:
        kind: "cpu" or "gpu".
        gpus: GPUs that each worker uses.
        system: As `platform.system` names it.
        asked: The value of KERASCNN_COLLECTIVES, or "".

    Raises:
        UserError: Workers have different numbers of devices, or the variable asks for what is not there.
    """
    can = kind == "gpu" and system == "Linux" and len(gpus) > 0 and min(gpus) > 0
    if kind == "gpu" and len(set(gpus)) > 1:
        raise UserError(f"each worker needs as many GPUs as the others, and they have {', '.join(map(str, gpus))}")
    word = asked.strip().upper()
    if word not in ("", RING, NCCL):
        raise UserError(f"{VARIABLE}: expected ring or nccl, got {asked!r}")
    if word == NCCL and not can:
        raise UserError(f"{VARIABLE}=nccl: NCCL needs Linux and a GPU for every worker")
    return word or (NCCL if can else RING)


@functools.cache
def strategy(cluster: Cluster, kind: str, local: int) -> tf.distribute.Strategy:
    """Returns the process's only strategy for a cluster, which starts TensorFlow's server at this worker's port.

    Args:
        cluster: The workers, all of which are there.
        kind: "cpu" or "gpu".
        local: Devices of each worker.
    """
    way = collectives(kind, [local if kind == "gpu" else 0] * len(cluster.workers), platform.system(), _asked())
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.workers)}),
        task_type="worker",
        task_id=cluster.index,
        num_accelerators={"GPU": local} if kind == "gpu" else {},
        rpc_layer="grpc",
    )
    implementation = tf.distribute.experimental.CommunicationImplementation[way]
    options = tf.distribute.experimental.CommunicationOptions(implementation=implementation)
    return tf.distribute.MultiWorkerMirroredStrategy(resolver, options)


def distributed(
    dataset: tf.data.Dataset, strategy: tf.distribute.Strategy, local: int
) -> tf.distribute.DistributedDataset:
    """Returns a worker's own part of the batches as the strategy takes it, each for its `local` devices in turn."""
    if local > 1:
        rows = tf.nest.flatten(dataset.element_spec)[0].shape[0]
        dataset = dataset.rebatch(rows // local, drop_remainder=True)
    # Of a data set that ends, all workers would agree at each batch whether there is one.
    endless = dataset.repeat()
    return strategy.distribute_datasets_from_function(lambda context: endless)


def _asked() -> str:
    return os.environ.get(VARIABLE, "")
