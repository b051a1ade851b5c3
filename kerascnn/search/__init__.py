"""Searches of filter counts: keras-tuner's oracles propose, ordinary runs train. TensorFlow is loaded only to count networks."""
