"""Controlled comparisons: plan, train through an executor, conclude. TensorFlow is loaded only to measure or score."""

from kerascnn.comparison.comparing import of_archs, of_runs

__all__ = ["of_archs", "of_runs"]
