"""Evaluation of one trained network on one split. Importing this loads no TensorFlow."""
