"""Networks as plain rows: stages and blocks of every arch, their filter counts, what they cost. No TensorFlow."""
