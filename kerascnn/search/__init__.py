"""Searches of filter counts: keras-tuner's oracles propose, ordinary runs answer. No TensorFlow until a network is counted."""
