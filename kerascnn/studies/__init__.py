"""Studies of many runs: executors, budgets, costs, and the directory of a study. No TensorFlow."""
