"""What every command has: its flags, recipes, screen, and exit codes for each way to end. No TensorFlow."""
