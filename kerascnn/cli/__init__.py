"""The common parts of commands: flags, recipes, help, screen, and exit codes. No TensorFlow."""
