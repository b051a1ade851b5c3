"""What `kerascnn verify` does: trainings that are killed and resumed beside undisturbed ones, and artefacts on this machine."""
