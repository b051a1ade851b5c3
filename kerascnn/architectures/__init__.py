"""Networks as plain rows: stages and blocks of every arch, their filter counts and their costs. No TensorFlow."""
