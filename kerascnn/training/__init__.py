"""The one way to train: `train(config, run)`. Everything after `fit` runs in float32 on one device."""

from kerascnn.training.assembly import Schedule, averaged, build_and_compile, network, network_of, resolve
from kerascnn.training.loop import train

__all__ = ["Schedule", "averaged", "build_and_compile", "network", "network_of", "resolve", "train"]
