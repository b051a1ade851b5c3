"""Settings of the user's other programs that reach Keras and TensorFlow: overridden, or respected and recorded.

`~/.keras/keras.json` and environment variables are shared by every Keras program of a user. What this program
depends on (backend, data format, float type, number of epochs) is fixed. What a user may intend for it (threads, kernels, XLA)
is respected and recorded in environment.json. No TensorFlow at import.
"""

import os
import tempfile
from collections.abc import Mapping, MutableMapping

# Variables that would change results or the length of a training without the config: name -> the value that is set, None
# to unset it. All are read once, when Keras or TensorFlow is imported or a function is traced.
FIXED: Mapping[str, str | None] = {
    "KERAS_BACKEND": "tensorflow",
    "KERAS_MAX_EPOCHS": None,  # limits every fit of a process: --epochs would not be reached
    "KERAS_MAX_STEPS_PER_EPOCH": None,
    "KERAS_NNX_ENABLED": None,
    "TF_USE_LEGACY_KERAS": None,  # other libraries would get Keras 2 from TensorFlow
    "TF_ENABLE_AUTO_MIXED_PRECISION": None,  # --dtype sets the precision
    "TF_FUNCTION_JIT_COMPILE_DEFAULT": None,  # --jit sets what XLA compiles
}
# Variables that are respected, and that may change the last bits of results or more.
RESPECTED = (
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
# Settings of keras.json that this program needs.
KERAS = {"image_data_format": "channels_last", "floatx": "float32", "epsilon": 1e-7}

_overridden: dict[str, str] = {}  # settings found in this process that are overridden


def fix_variables(environment: MutableMapping[str, str]) -> dict[str, str]:
    """Sets the variables of `FIXED`, before Keras is imported; returns the former values of those that differed."""
    changed = {}
    for name, value in FIXED.items():
        if environment.get(name, value) != value:
            changed[name] = environment[name]
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = value
    return changed


def give_keras_a_home(home: str, environment: MutableMapping[str, str]) -> None:
    """Gives Keras a folder for its settings where there is no home folder: it would make a folder `~` in the current one.

    Args:
        home: What the system makes of `~`; the same where a container knows neither HOME nor the user.
        environment: The variables, before Keras is imported.
    """
    if home == "~":
        environment.setdefault("KERAS_HOME", os.path.join(tempfile.gettempdir(), ".keras"))  # noqa: PTH118 - as Keras does


def start_keras() -> None:
    """Imports Keras with this program's settings, whatever the user's keras.json and variables say."""
    _overridden.update(fix_variables(os.environ))
    give_keras_a_home(os.path.expanduser("~"), os.environ)  # noqa: PTH111 - pathlib raises where there is none
    import keras

    config = keras.config
    for name, value in KERAS.items():
        if (found := getattr(config, name)()) != value:
            _overridden[f"keras.json {name}"] = str(found)
            getattr(config, f"set_{name}")(value)
    # If Keras was imported before.
    config.set_max_epochs(None)
    config.set_max_steps_per_epoch(None)


def overridden() -> dict[str, str]:
    """Returns the settings found in this process that are overridden, by name."""
    return dict(_overridden)


def respected() -> dict[str, str]:
    """Returns the variables of `RESPECTED` that are set, by name."""
    return {name: os.environ[name] for name in RESPECTED if name in os.environ}
