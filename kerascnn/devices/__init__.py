"""What the machine has, and what of it TensorFlow is to use. No TensorFlow."""
