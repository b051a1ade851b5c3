"""What the graph of every architecture promises: the names and the order of its layers, its inputs and outputs."""

import keras

from kerascnn import models


def assert_contract(model: keras.Model, arch: str, classes: int) -> None:
    """Compares a network that `models.build` made with what docs/networks.md and the library promise."""
    names = [layer.name for layer in model.layers]
    row = models.ARCHS[arch]
    stages = [name for name in names if name.startswith("stage") and "_" not in name]
    assert stages == [f"stage{i}" for i in range(1, len(stages) + 1)]
    assert len(stages) >= 3
    order = [name for name in names if name in ("preprocess", "stem", "pool", "logits") or name in stages]
    assert order == ["preprocess", "stem", *stages, "pool", "logits"]
    assert ("dropout" in names) == (row.dropout > 0)
    assert model.name == arch
    assert model.output_shape == (None, classes)
    assert model.outputs[0].dtype == "float32"
    assert model.inputs[0].dtype == "float32"
