"""Many runs under one budget. No TensorFlow."""
