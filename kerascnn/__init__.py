"""kerascnn: train, compare, tune, evaluate and export image classifiers of the ResNet and Inception families.

The public names load on first use, so that `import kerascnn` does not start TensorFlow. The import chooses TensorFlow's CPU
kernels (`devices.hardware.use_onednn`) for every command, child process and `load`.
"""

import importlib
from typing import Any

from kerascnn.devices import hardware as _hardware

_hardware.use_onednn()

_MODULES = ("artefacts", "config", "cost", "data", "layers", "models", "runs", "training")

__all__ = ["load", *_MODULES]


def load(path: Any) -> Any:
    """Returns a predictor for a run's directory, a `.keras` file, a SavedModel, or "demo": `class_names`,
    `predict(paths_or_arrays)`, `evaluate(split)`.

    Raises:
        kerascnn.errors.UserError: There is nothing that can predict at `path`.
    """
    return importlib.import_module("kerascnn.evaluation.loaded").load(path)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"kerascnn.{name}")
    if name == "__version__":
        from importlib.metadata import version

        return version("kerascnn")
    raise AttributeError(f"module 'kerascnn' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
