"""The parts of `kerascnn predict`."""
