"""The hardware of the machine, and how TensorFlow uses it."""
