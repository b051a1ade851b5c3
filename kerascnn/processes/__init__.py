"""New Python processes: forked from one that has imported TensorFlow where that is safe, else started. No TensorFlow."""
