"""How fast an arch is here: what `kerascnn benchmark` measures and shows."""
