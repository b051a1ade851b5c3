"""Predictions of other programs: files, their columns, and the images and classes that they are about. No TensorFlow."""

from kerascnn.outside.systems import GivenCost, OutsideSystem, Truth, read_systems

__all__ = ["GivenCost", "OutsideSystem", "Truth", "read_systems"]
