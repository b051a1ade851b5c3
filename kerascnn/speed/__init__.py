"""The speed of archs on this machine: measurements of `kerascnn benchmark`, and their display."""
