"""Controlled comparisons: plan, train through an executor, conclude. No TensorFlow until something is measured or scored."""

from kerascnn.comparison.session import of_archs, of_runs

__all__ = ["of_archs", "of_runs"]
