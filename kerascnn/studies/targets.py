"""What the runs of a study are trained on: resolved configs with their data. `targets` is called in a subprocess."""

from dataclasses import dataclass
from typing import Any

from kerascnn.cli.progress import SILENT, Phases
from kerascnn.cli.screen import quiet, starting
from kerascnn.config import Config
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.errors import UserError
from kerascnn.scoring.task import SINGLE, TASKS, Task


@dataclass(frozen=True)
class Target:
    """A resolved config with its data.

    Args:
        config: Of its runs, but for the seed.
        dataset: Short name of the data.
        fingerprint: Of the data.
        class_names: In the labels' order.
        images: Number of images in train, val and test.
        former: The fingerprint of the same images in earlier versions.
    """

    config: ResolvedConfig
    dataset: str
    fingerprint: str
    class_names: tuple[str, ...]
    images: dict[str, int]
    former: str = ""

    @property
    def task(self) -> Task:
        """What the labels ask of a network."""
        return TASKS.get(self.config.data.task, SINGLE)


def targets(configs: list[Config], phases: Phases = SILENT) -> list[Target]:
    """Returns each config with its data; each data set is loaded once."""
    verbose = configs[0].logging.verbose
    with starting(phases), quiet(verbose):
        from kerascnn.devices.plan import setup

        setup(configs[0].devices, configs[0].fit.batch_size)
    with quiet(verbose):
        return _targets(configs, phases)


def _targets(configs: list[Config], phases: Phases) -> list[Target]:
    from kerascnn import data, training

    loaded: dict[str, Any] = {}
    found = []
    for config in configs:
        key = repr(config.data)
        if key not in loaded:
            loaded[key] = data.load(config.data, data.Room(config.logging.runs_dir), phases)
        splits = loaded[key]
        images = {"train": len(splits.train), "val": len(splits.val), "test": len(splits.test)}
        if not images["test"]:
            raise UserError(f"{splits.name} has no test images: nothing to compare on")
        resolved = training.resolve(config, splits)
        former = splits.former.fingerprint if splits.former else ""
        found.append(Target(resolved, splits.name, splits.fingerprint, splits.class_names, images, former))
    return found
