"""The facts of a run's start besides the config: the environment, and the flat values of TensorBoard's table."""

from collections.abc import Callable, Mapping
from typing import Any

from kerascnn.cli import ambient
from kerascnn.config import defaults
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.data import Splits
from kerascnn.devices.plan import Plan, kernels, versions
from kerascnn.models.cost import Counts
from kerascnn.runs import Run

# Facts of a start that determine a model's last bits, with their names on the screen.
_DECIDES = {
    "tensorflow": "TensorFlow",
    "keras": "Keras",
    "machine": "machine",
    "cpu": "CPU",
    "onednn": "oneDNN",
    "isa": "oneDNN's instruction set",
    "threads": "threads",
    "inter_op_threads": "threads between operations",
    "kind": "device",
    "policy": "policy",
    "replicas": "replicas",
    "jit": "XLA",
}
# Environment variables that determine them and are not visible elsewhere.
_VARIABLES = (
    "TF_DETERMINISTIC_OPS",
    "TF_CUDNN_DETERMINISTIC",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "NVIDIA_TF32_OVERRIDE",
)


def note_environment(run: Run, plan: Plan, say: Callable[[str], None]) -> None:
    """Adds this start to environment.json, and reports overridden settings and changes since the previous start."""
    for name, value in ambient.overridden().items():
        say(f"note: {name} is {value} in this environment and is overridden here")
    starts = run.add_environment({**versions(), **kernels(), **plan.facts()})
    if len(starts) > 1:
        for line in changed(*starts[-2:]):
            say(line)


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Returns a line for each fact that determines bits and has changed; facts that an older start lacks are not compared."""
    found = [(word, before[key], now[key]) for key, word in _DECIDES.items() if key in before and key in now]
    if "variables" in before and "variables" in now:
        found += [(name, *(start["variables"].get(name) for start in (before, now))) for name in _VARIABLES]
    return [
        f"note: {word} was {_shown(old)} before, now {_shown(new)}: not the same model to the last bit"
        for word, old, new in found
        if old != new
    ]


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "not set" if value is None else str(value)


def hparams(config: ResolvedConfig, splits: Splits, count: Counts) -> dict[str, Any]:
    """Returns the flat values of the sections that determine the result."""
    flat: dict[str, Any] = {"dataset": splits.name, "params": count.params, "macs": count.macs}
    for section in (config.data, config.model, config.optim, config.fit, config.augment):
        flat |= section.model_dump(mode="json", exclude=section.volatile_fields() | {"filters"})
    return flat | defaults.used(config, splits.image_size)
