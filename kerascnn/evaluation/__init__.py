"""Everything that one trained network can be asked about one split. Importing this loads no TensorFlow."""
