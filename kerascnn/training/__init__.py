"""Training: `train(config, run)`. Everything after `fit` runs in float32 on one device."""

from kerascnn.training.assembly import (
    averaged,
    build_and_compile,
    find_network,
    network,
    network_of,
    resolve,
)
from kerascnn.training.measuring import network_cost, seconds_per_step
from kerascnn.training.mending import mend
from kerascnn.training.run_schedule import RunSchedule
from kerascnn.training.starting import train

__all__ = [
    "RunSchedule",
    "averaged",
    "build_and_compile",
    "find_network",
    "mend",
    "network",
    "network_cost",
    "network_of",
    "resolve",
    "seconds_per_step",
    "train",
]
