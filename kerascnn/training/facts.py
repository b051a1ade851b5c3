"""What a run keeps of its start beside the config: the environment, and the flat values of TensorBoard's table."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kerascnn import distribute
from kerascnn.config import Config
from kerascnn.cost import Cost
from kerascnn.distribute import Plan
from kerascnn.runs import Run


def note_environment(run: Run, plan: Plan, say: Callable[[str], None]) -> None:
    """Add this start to the run's environment.json, and say what changed since the one before."""
    threads = tf.config.threading.get_intra_op_parallelism_threads() or distribute.available_cpus()
    found = {**distribute.versions(), **plan.facts(), "threads": threads}
    starts = run.add_environment(found)
    for key in ("threads", "policy", "replicas"):
        if len(starts) > 1 and starts[-2].get(key) != found[key]:
            before = starts[-2].get(key)
            say(f"note: {key} was {before} before, now {found[key]}: not the same model to the last bit")


def hparams(config: Config, dataset: str, count: Cost) -> dict[str, Any]:
    """Flat values of the sections that decide the result."""
    flat: dict[str, Any] = {"dataset": dataset, "params": count.params, "macs": count.macs}
    for section in (config.model, config.optim, config.fit, config.augment):
        flat |= section.model_dump(mode="json", exclude=section.volatile_fields() | {"filters"})
    return flat
