"""Settings of other programs that reach Keras and TensorFlow: which are overridden here, which are heeded and recorded.

`~/.keras/keras.json` and environment variables are shared by every Keras program of a user. What this program rests on
(backend, data format, float type, the number of epochs) is fixed; what a user may well mean for it (threads, kernels, XLA) is
heeded and kept in environment.json. No TensorFlow at import.
"""

import os
from collections.abc import Mapping, MutableMapping

# Variables that would change results or the length of a training behind the config's back: name -> the value that they get,
# None to leave them out. All are read once, when Keras or TensorFlow is imported or a function is traced.
FIXED: Mapping[str, str | None] = {
    "KERAS_BACKEND": "tensorflow",
    "KERAS_MAX_EPOCHS": None,  # bounds every fit of a process: --epochs would not be reached, and asked for again
    "KERAS_MAX_STEPS_PER_EPOCH": None,
    "KERAS_NNX_ENABLED": None,
    "TF_USE_LEGACY_KERAS": None,  # TensorFlow's own name for Keras would mean Keras 2 in other libraries
    "TF_ENABLE_AUTO_MIXED_PRECISION": None,  # --dtype says the precision
    "TF_FUNCTION_JIT_COMPILE_DEFAULT": None,  # --jit says what XLA compiles
}
# Variables that are heeded, and that may change the last bits of results or more.
HEEDED = (
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "TF_DETERMINISTIC_OPS",
    "TF_CUDNN_DETERMINISTIC",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "OMP_NUM_THREADS",
    "NVIDIA_TF32_OVERRIDE",
    "CUDA_VISIBLE_DEVICES",
)
# Keras' settings in keras.json, as this program needs them.
KERAS = {"image_data_format": "channels_last", "floatx": "float32", "epsilon": 1e-7}

_overridden: dict[str, str] = {}  # of this process: what was set, and is not heeded


def fix_variables(environment: MutableMapping[str, str]) -> dict[str, str]:
    """Sets the variables of `FIXED`, before Keras is imported; returns those that said otherwise, as they were."""
    changed = {}
    for name, value in FIXED.items():
        if environment.get(name, value) != value:
            changed[name] = environment[name]
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = value
    return changed


def start_keras() -> None:
    """Imports Keras with this program's settings, whatever the user's keras.json and variables say."""
    _overridden.update(fix_variables(os.environ))
    import keras

    config = keras.config
    for name, value in KERAS.items():
        if (found := getattr(config, name)()) != value:
            _overridden[f"keras.json {name}"] = str(found)
            getattr(config, f"set_{name}")(value)
    # Where Keras had been imported before this.
    config.set_max_epochs(None)
    config.set_max_steps_per_epoch(None)


def overridden() -> dict[str, str]:
    """Settings of other programs that were found in this process and are not heeded, by name."""
    return dict(_overridden)


def heeded() -> dict[str, str]:
    """The variables of `HEEDED` that are set, by name."""
    return {name: os.environ[name] for name in HEEDED if name in os.environ}
