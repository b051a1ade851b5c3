"""What `fit` prints at the end: the scores of a run, and the commands that come next."""

import shlex
import sys
from pathlib import Path
from typing import Any

from kerascnn.architectures import tables
from kerascnn.architectures.shape import SHAPE
from kerascnn.cli import flags
from kerascnn.cli.screen import Screen, duration
from kerascnn.config import Config, Model
from kerascnn.runs import Run
from kerascnn.scoring import prediction_sets
from kerascnn.scoring.task import Task
from kerascnn.training import neighbor_floor

_MODEL, _RUNS_DIR = dict(Model()), Config().logging.runs_dir


def say_scores(screen: Screen, metrics: dict[str, Any], task: Task) -> None:
    """Prints the scores of metrics.json: of test, or of val where test was not read."""
    name = "test" if "test" in metrics else "val"
    scores = metrics[name]
    headline = task.leading(scores)
    first = scores[headline.name]
    mark = "  (val chose this model: there is no separate test set)" if metrics["test_is_val"] or name == "val" else ""
    groups = f" in {scores['groups']} groups" if "groups" in scores else ""
    screen.say()
    screen.say(
        f"{name} {headline.title} {headline.show_interval(first)} (95 %, n = {first['n']} images{groups}, 1 seed){mark}",
        style="bold",
    )
    screen.say(
        "        1 seed: [ ] is the spread over images only; --seed 1 trains another network with another score",
        style="dim",
    )
    for score in task.shown_in("brief"):
        if score is not headline and scores.get(score.name):
            screen.say(f"{score.title} {score.show_interval(scores[score.name])}")
    for line in [*_beside(scores, task), *_floor(scores), *_trusted(name, scores)]:
        screen.say(line)
    best = f"best epoch {metrics['best_epoch']} by {metrics['monitor']}"
    if averaged := metrics.get("averaged_epochs"):
        best = f"mean of the weights after epochs {averaged[0]} to {averaged[-1]}"
    screen.say(f"trained {metrics['epochs']} epochs in {duration(metrics['train_seconds'])}; {best}")


def _trusted(split: str, scores: dict[str, Any]) -> list[str]:
    """Returns the lines about prediction sets, where there are some."""
    return prediction_sets.lines(split, scores[prediction_sets.KEY]) if prediction_sets.KEY in scores else []


def _floor(scores: dict[str, Any]) -> list[str]:
    """Returns the line about the nearest neighbors of the starting weights, where they were scored."""
    return [neighbor_floor.line(scores)] if neighbor_floor.KEY in scores else []


def _beside(scores: dict[str, Any], task: Task) -> list[str]:
    """Returns the score of the hardest class, and what a network without knowledge would score."""
    worst = scores["worst_class"]
    if not task.several:
        return [
            f"worst class: {worst['name']} (F1 {worst['f1']:.3f}, n = {worst['n']})",
            f"always predicting the largest class: {scores['majority']:.2%}",
        ]
    if worst is None:
        return [f"no {task.headline.title}: all images or none have each label"]
    precision = worst["average_precision"]["value"]
    return [
        f"worst class: {worst['name']} (average precision {precision:.3f}, n = {worst['n']} with it)",
        f"{task.headline.title} of a random order: {scores['chance']:.2%}",
    ]


def say_next(screen: Screen, run: Run, asked: Config) -> None:
    """Prints where everything is, and commands that can be pasted."""
    place = shlex.quote(str(run.path))
    screen.say()
    if run.report_file.exists():
        screen.say(f"report:  {run.report_file}")
    screen.say(f"curves:  tensorboard --logdir {shlex.quote(str(run.path.parent))}")
    screen.say(f"scores:  {_door('evaluate')} {place}")
    screen.say(f"images:  {_door('predict')} {place} IMAGE...")
    screen.say(
        f"runs:    {_door('list')}{'' if run.path.parent == _RUNS_DIR else f' {shlex.quote(str(run.path.parent))}'}"
    )
    if other := other_family(asked, run.config().model.arch):
        screen.say(f"next:    {_door('fit')} {shlex.join(other)}")


def other_family(asked: Config, arch: str) -> list[str]:
    """Returns the flags of the same training with the other family; none if it cannot start from the same weights."""
    model: dict[str, Any] = {name: _MODEL[name] for name in (*SHAPE, "aux_weight")}
    if asked.model.weights is not None and not asked.model.weights.startswith("imagenet"):
        return []
    model["arch"] = "inception" if tables.family(arch) == "resnet" else "resnet"
    same = asked.replace(
        model=model, fit={"stop_epoch": None}, logging={"run": None, "overwrite": False, "verbose": False}
    )
    return ["--arch", model["arch"], *flags.words(same, Config().replace(model={"arch": model["arch"]}))]


def _door(command: str) -> str:
    """Returns a command as this one was called: `kerascnn COMMAND` or `python -m kerascnn.COMMAND`."""
    return f"kerascnn {command}" if Path(sys.argv[0]).stem == "kerascnn" else f"python -m kerascnn.{command}"
