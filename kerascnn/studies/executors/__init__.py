"""Executors, one class per file, with the interface `studies.executor.Executor`. No TensorFlow."""
