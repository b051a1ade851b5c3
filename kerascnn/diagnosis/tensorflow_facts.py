"""What TensorFlow says about this machine. TensorFlow is imported here, by the functions."""

import os

from kerascnn.config import Config
from kerascnn.devices import hardware
from kerascnn.diagnosis.facts import OneDnnWorth, TensorFlowFacts
from kerascnn.errors import TrainingFailed, UserError
from kerascnn.studies.executor import Executor


def ask() -> TensorFlowFacts:
    """Returns what TensorFlow says in this process, or why it cannot be imported."""
    try:
        from kerascnn.devices import plan
    except Exception as error:  # a broken installation raises what it likes
        return TensorFlowFacts(error=(str(error).strip().splitlines() or [type(error).__name__])[0])
    found, seen = plan.kernels(), plan.inspect_hardware()
    gpus = tuple(f"{name} {major}.{minor}" for name, (major, minor) in seen.gpus)
    return TensorFlowFacts("", found["onednn"], found["threads"], found["inter_op_threads"], gpus)


def worth(executor: Executor) -> OneDnnWorth:
    """Returns the training speed of a small network with oneDNN and without."""
    found = []
    for on in (True, False):
        try:
            found.append(executor.call(images_per_second, on, slot=executor.slots[0], alone=True))
        except (UserError, TrainingFailed, RuntimeError) as error:
            return OneDnnWorth(error=(str(error).strip().splitlines() or ["no message"])[-1])
    return OneDnnWorth(on=found[0], off=found[1])


def images_per_second(on: bool) -> float:
    """Returns the training speed of a ResNet of 8 layers, 28 px, batch 128, float32; for a process without TensorFlow."""
    os.environ[hardware.ONEDNN] = "1" if on else "0"
    from kerascnn import data, training
    from kerascnn.devices import plan, timing
    from kerascnn.speed.steps import training_step

    config = Config().replace(
        model={"arch": "resnet20", "blocks": (1, 1, 1)},
        devices={"devices": "cpu", "dtype": "float32"},
        fit={"batch_size": 128},
    )
    splits = data.load(config.data)
    resolved = training.resolve(config, splits)
    step = training_step(resolved, splits, plan.setup(config.devices, config.fit.batch_size))
    return timing.throughput(step, config.fit.batch_size, seconds=3.0)
