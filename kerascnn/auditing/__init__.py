"""Audits: what is wrong with a data set, before anything is trained. Importing this loads no TensorFlow."""
