"""Where runs execute: one class in one file each, behind `studies.executor.Executor`. No TensorFlow."""
