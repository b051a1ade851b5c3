"""The article's four questions, answered by measurement: trains plain, residual and Inception networks, writes why.md.

    python -m experiments.why                       about half an hour of two cores
    python -m experiments.why --epochs 1 --fraction 0.02 --seeds 2 --depths 20 --out-dir /tmp/why      a first look

The same command goes on where it was stopped and reuses finished runs. Words in why.md outside of the marked tables stay.
"""

import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

from kerascnn import runs
from kerascnn.cli.command import command
from kerascnn.cli.parsing import parse
from kerascnn.cli.screen import Screen, quiet
from kerascnn.config import Config
from kerascnn.config.section import Section
from kerascnn.errors import DONE
from kerascnn.runs import Run
from kerascnn.runs.files import write_file
from kerascnn.studies.executor import Slot
from kerascnn.studies.executors.local import LocalExecutor

GRADIENT_IMAGES, LESION_IMAGES, REACH_IMAGES = 256, 500, 32
_SAID = ("reason", "threads", "tensorflow", "keras", "git_commit")  # of a run's environment


class Why(Section):
    """What is trained, for how long, and where the answers go."""

    dataset: str = Field("fashion_mnist_mini", description="the images")
    data_dir: str | None = Field(None, description="where TensorFlow Datasets keeps its prepared data")
    fraction: float = Field(1.0, gt=0, le=1, description="share of the training images")
    epochs: int = Field(5, ge=1, description="of every run")
    seeds: int = Field(3, ge=2, description="of every network")
    depths: tuple[int, ...] = Field((20, 56), description="of the plain and the residual networks; 20 sets the budget")
    runs_dir: Path = Field(Path("experiments/runs"), description="where runs are kept")
    out_dir: Path = Field(Path("experiments/results"), description="where why.md, why.png and why.json go")


@dataclass(frozen=True)
class Network:
    """One network of the study.

    Args:
        name: In the tables.
        model: Fields of the section `model`.
        matched: Whether its width is solved for resnet20's MACs.
    """

    name: str
    model: dict[str, Any] = field(default_factory=dict)
    matched: bool = False


def networks(depths: tuple[int, ...]) -> list[Network]:
    """Every network, in the order in which a seed's runs are trained."""
    found = []
    for depth in depths:
        arch = f"resnet{depth}"
        found += [Network(f"residual {depth}", {"arch": arch})]
        found += [Network(f"plain {depth}", {"arch": arch, "shortcut": "none"})]
    branches = {"1x1 and 3x3": (), "3x3 alone": ("3x3",), "1x1 alone": ("1x1",)}
    return found + [
        Network(name, {"arch": "inception_small", "branches": kept}, matched=True) for name, kept in branches.items()
    ]


@command
def main(argv: list[str]) -> int:
    """Train what is missing, measure, write."""
    asked = parse(Why, argv, prog="why.py", description=__doc__ or "")
    screen = Screen()
    with quiet():
        from kerascnn import data
    splits = data.load(_config(asked).data)
    screen.say(f"data    {splits.name}: {len(splits.train):,} train, {len(splits.test):,} test")
    store = Store(asked.out_dir / "why.json")
    rows: dict[str, dict[int, dict[str, Any]]] = {}
    found: dict[str, dict[int, Run]] = {}
    for name, config, run in _plan(asked, splits):
        seed = config.fit.seed
        screen.say(f"{name}, seed {seed}: {run.path}")
        _train(run, config, screen)
        if store.lacks(run):
            store.keep(run, name, seed, _measured(run, splits))
        rows.setdefault(name, {})[seed] = store.rows[run.name]
        found.setdefault(name, {})[seed] = run
    from experiments.why_tables import write

    write(asked.out_dir, rows, found, _facts(asked, splits, found))
    screen.say(f"wrote   {asked.out_dir / 'why.md'}")
    return DONE


class Store:
    """What was measured of each run, kept so that a killed script does not measure again.

    Args:
        file: why.json.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.rows: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {}

    def lacks(self, run: Run) -> bool:
        """Whether this very training has not been measured yet."""
        return self.rows.get(run.name, {}).get("finished") != run.metrics()["finished"]

    def keep(self, run: Run, network: str, seed: int, measured: dict[str, Any]) -> None:
        """Write a run's numbers."""
        metrics = run.metrics()
        self.rows[run.name] = {
            "network": network,
            "seed": seed,
            "finished": metrics["finished"],
            "params": metrics["params"],
            "macs": metrics["macs"],
            "width": run.config().model.width,
            "accuracy": metrics["test"]["accuracy"]["value"],
            "loss": metrics["test"]["loss"]["value"],
            "seconds": metrics["train_seconds"],
            **measured,
        }
        write_file(self.file, (json.dumps(self.rows, indent=1) + "\n").encode())


def _facts(asked: Why, splits: Any, found: dict[str, dict[int, Run]]) -> str:
    """What all runs have in common, in words."""
    starts = [run.environment()[-1] for mine in found.values() for run in mine.values()]
    said = {key: ", ".join(sorted({str(one[key]) for one in starts})) for key in _SAID}
    given = asked.model_dump(mode="json", exclude_defaults=True, exclude={"runs_dir", "out_dir", "data_dir"})
    flags = [
        f"--{key} {' '.join(map(str, value)) if isinstance(value, list) else value}" for key, value in given.items()
    ]
    return (
        f"{splits.name}, {len(splits.train):,} training and {len(splits.test):,} test images at {splits.image_size} px;"
        f" {asked.epochs} epochs, seeds 0 to {asked.seeds - 1}, one recipe (the defaults) for all. Device:"
        f" {said['reason']}, {said['threads']} threads, other jobs beside. TensorFlow {said['tensorflow']}, Keras"
        f" {said['keras']}, commit {said['git_commit']}. Every number by run: `why.json`. Again:\n\n"
        f"    {' '.join(['python -m experiments.why', *flags])}"
    )


def _config(asked: Why) -> Config:
    return Config().replace(
        data={"dataset": asked.dataset, "data_dir": asked.data_dir, "fraction": asked.fraction},
        fit={"epochs": asked.epochs},
        logging={"runs_dir": asked.runs_dir, "export": False},
    )


def _plan(asked: Why, splits: Any) -> Iterator[tuple[str, Config, Run]]:
    """Every run, seed by seed, so that a script cut short is balanced."""
    from kerascnn import training
    from kerascnn.comparison import network_costs

    base, resolved = _config(asked), {}
    budget = training.resolve(base.replace(model={"arch": "resnet20"}), splits)
    for network in networks(asked.depths):
        config = training.resolve(base.replace(model=network.model), splits)
        if network.matched:
            (found,) = network_costs.scaled([(budget, config)], len(splits.class_names), "macs")
            config = config.replace(model={"width": found.width, "width_divisor": found.width_divisor})
        resolved[network.name] = config
    for seed in range(asked.seeds):
        for name, config in resolved.items():
            mine = config.replace(fit={"seed": seed})
            yield name, mine, Run(asked.runs_dir / runs.default_name(mine, splits.fingerprint, splits.name))


def _train(run: Run, config: Config, screen: Screen) -> None:
    if run.finished:
        return
    run.write_config(config)
    for row in LocalExecutor().train(run.path, None, Slot(), candidate=False, stop=threading.Event()):
        score = f", val_accuracy {row['val_accuracy']:.4f}" if "val_accuracy" in row else ""
        screen.say(f"  epoch {row['epoch']:.0f}/{config.fit.epochs}  loss {row['loss']:.4f}{score}")


def _measured(run: Run, splits: Any) -> dict[str, Any]:
    """Everything beside the scores, of the run's network as it began and as it ended."""
    import keras

    from experiments import why_measures as measures
    from kerascnn import training
    from kerascnn.artefacts.opening import load_keras

    config = run.config()
    seen = _images(splits.train, splits, GRADIENT_IMAGES)
    test = _images(splits.test, splits, len(splits.test))
    keras.utils.set_random_seed(config.fit.seed)
    fresh = training.network(config.model, splits.image_size, len(splits.class_names))
    trained = load_keras(run.best_model)
    found: dict[str, Any] = {
        "reach": measures.reach(trained, test[0][:REACH_IMAGES]),
        "zoom": measures.over_zoom(trained, *test),
        "gradients_before": measures.gradient_norms(fresh, *seen),
    }
    if config.model.arch.startswith("resnet"):
        found["without"] = measures.without_blocks(trained, *(part[:LESION_IMAGES] for part in test))
    found["gradients_after"] = measures.gradient_norms(trained, *seen)  # last: moves the moving statistics
    keras.backend.clear_session()
    return found


def _images(split: Any, splits: Any, count: int) -> tuple[Any, Any]:
    """uint8 images and labels, spread over the split."""
    import numpy as np

    from kerascnn.data import pipeline

    images = np.concatenate([batch[0].numpy() for batch in pipeline.scoring(split, splits, 64)])[: len(split)]
    chosen = np.linspace(0, len(split) - 1, min(count, len(split))).round().astype(int)
    return images[chosen], split.labels[chosen]


if __name__ == "__main__":
    sys.exit(main())
