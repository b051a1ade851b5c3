"""Soups: the mean of the weights of several runs, kept as a run that was not trained (Wortsman et al., 2022)."""

import hashlib
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerascnn.artefacts import own_images
from kerascnn.artefacts.opening import load_keras
from kerascnn.averaging.soup_config import SoupConfig
from kerascnn.cli.escaping import as_output, within
from kerascnn.cli.screen import Screen
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.data import Splits
from kerascnn.data.cache import Cache
from kerascnn.data.grouping import groups_of
from kerascnn.devices.plan import setup
from kerascnn.errors import UserError
from kerascnn.models import cost
from kerascnn.report import run_report
from kerascnn.runs import Run, now
from kerascnn.scoring import split_scores
from kerascnn.scoring.inference import predict
from kerascnn.scoring.predictions import Predictions
from kerascnn.tracking.trackers import Trackers
from kerascnn.training import averaging, finetune, whitening
from kerascnn.training.batches import Batches
from kerascnn.training.environment import note_environment
from kerascnn.training.finishing import Finish
from kerascnn.training.saving import save_model

FEWEST = 2


def check(runs: Sequence[Run]) -> None:
    """Checks that the weights of these runs can be averaged, and that none of them was trained on the val of another.

    Raises:
        UserError: They cannot.
    """
    if len(runs) < FEWEST:
        raise UserError(f"kerascnn soup: expected at least {FEWEST} finished runs, got {len(runs)}")
    if len({run.path.resolve() for run in runs}) < len(runs):
        raise UserError("kerascnn soup: each run once")
    for run in runs:
        run.metrics()  # raises if it is not finished
        if "members" in run.metrics():
            raise UserError(f"{run.name} is an ensemble of folds: a soup is made of single networks")
    first = runs[0]
    for run in runs[1:]:
        if run.config().model.arch != first.config().model.arch:
            mine, theirs = (each.config().model.arch for each in (run, first))
            raise UserError(f"{run.name} is a {mine}, and {first.name} a {theirs}: a soup is of one arch")
        if run.data()["class_names"] != first.data()["class_names"] or run.split_rows() != first.split_rows():
            raise UserError(
                f"{run.name} and {first.name} have other images, classes or splits: one would be scored on what the other"
                " was trained on"
            )


@dataclass
class SoupMaking:
    """A soup while it is being made.

    Args:
        runs: Runs that `check` has passed.
        splits: Their images.
        screen: Shows the progress.
    """

    runs: Sequence[Run]
    splits: Splits
    screen: Screen

    def __post_init__(self) -> None:
        self.config: ResolvedConfig = self.runs[0].resolved_config()
        self.batches = Batches(self.config, self.splits, Cache(self.config.data.cache), self.screen)
        with self.screen.phase("loading the networks", len(self.runs)) as phase:
            members = [load_keras(run.best_model) for run in phase.over(self.runs)]
        self.network: keras.Model = members[0]
        self.weights = [member.get_weights() for member in members]
        shapes = [[value.shape for value in weights] for weights in self.weights]
        for run, shape in zip(self.runs, shapes, strict=True):
            if shape != shapes[0]:
                raise UserError(f"{run.name} and {self.runs[0].name} have weights of other shapes")

    def fill(self, chosen: Sequence[int]) -> None:
        """Gives the network the mean weights of these runs, and statistics of their own."""
        if len(chosen) == 1:
            self.network.set_weights(self.weights[chosen[0]])
        else:
            mean = averaging.mean_of(self.weights[i] for i in chosen)
            averaging.fill(self.network, mean, self._frozen(), self.batches, self.screen)

    def _frozen(self) -> set[str]:
        """Returns the names of the layers that the runs did not train."""
        section = self.config.model
        finetune.choose(self.network, self.network, section.freeze_stages)
        found = {layer.name for layer in self.network.layers if not layer.trainable}
        return found | ({whitening.stem(self.network).name} if section.whiten else set())

    def val_score(self) -> float:
        """Returns the headline score of the network on val, positive where larger is better."""
        split, task = self.splits.val, self.splits.task
        predictions: Predictions = predict(self.network, self.batches.scoring(split), split.labels, split.ids())
        found = split_scores.score(predictions, self.splits.class_names, groups_of(predictions.ids, self.runs[0]))
        return (1 if task.headline.better == "max" else -1) * found[task.headline.name]["value"]

    def greedy(self) -> list[int]:
        """Returns the runs of the greedy soup, whose average the network then has (Wortsman et al., 2022, recipe 1).

        Raises:
            UserError: There is no val.
        """
        if not len(self.splits.val):
            raise UserError("--greedy: these runs have no val, which chooses; leave it out for the mean of all")
        alone = []
        for i, run in enumerate(self.runs):
            self.fill([i])
            alone.append(self.val_score())
            self.screen.say(f"  {run.name}: val {self.splits.task.headline.show(abs(alone[-1]))}")
        order = sorted(range(len(alone)), key=lambda i: -alone[i])
        chosen, best = order[:1], alone[order[0]]
        for i in order[1:]:
            self.fill([*chosen, i])
            score = self.val_score()
            taken = score >= best
            word = "is taken" if taken else "is left out"
            shown = self.splits.task.headline.show(abs(score))
            self.screen.say(f"  with {self.runs[i].name}: val {shown}, so that it {word}")
            if taken:
                chosen, best = [*chosen, i], score
        self.fill(chosen)
        return chosen


def make(asked: SoupConfig, runs: Sequence[Run], screen: Screen) -> Run:
    """Returns the soup of runs that `check` has passed: a new run, or the existing one of the same weights.

    Raises:
        UserError: The images have changed, or a run of that name was made of other weights.
    """
    made_of = {run.name: hashlib.sha256(run.best_model.read_bytes()).hexdigest() for run in runs}
    soup = Run(_place(asked, runs, made_of))
    if soup.config_file.exists():
        found = soup.metrics().get("soup", {}) if soup.finished else {}
        if found.get("given") == made_of and found.get("greedy") == asked.greedy:
            screen.say(f"there already: {soup.path}")
            return soup
        if soup.finished:
            raise UserError(f"{soup.path} exists and is another run: give another --name")
    devices = setup(runs[0].config().devices, runs[0].config().fit.batch_size)
    with screen.phase("listing the runs' images"):
        splits = own_images.load(runs[0], asked.dataset, asked.data_dir, say=screen.say)
    with soup.lock_when_free():
        making = SoupMaking(runs, splits, screen)
        soup.write_config(making.config.replace(logging={"run": soup.name, "runs_dir": asked.runs_dir}))
        if runs[0].network_file.exists():
            soup.write_network(runs[0].network_file.read_bytes())
        soup.write_data(splits.summary(), splits.rows(), splits.skipped)
        note_environment(soup, devices, screen.say)
        chosen = list(range(len(runs)))
        if asked.greedy:
            chosen = making.greedy()
        else:
            making.fill(chosen)
        save_model(making.network, soup.best_model)
        kept = {"given": made_of, "greedy": asked.greedy, "taken": [runs[i].name for i in chosen]}
        _finish(soup, making, kept)
    return soup


def _place(asked: SoupConfig, runs: Sequence[Run], made_of: dict[str, str]) -> Path:
    content = json.dumps([sorted(made_of.values()), asked.greedy])
    whole = runs[0].name.rpartition("-")[0] or runs[0].name
    name = asked.name or f"soup_{whole}-{hashlib.sha256(content.encode()).hexdigest()[:6]}"
    return as_output(within(asked.runs_dir, name))


def _finish(soup: Run, making: SoupMaking, kept: dict[str, Any]) -> None:
    """Scores the soup on val and test, once, and keeps everything; metrics.json, written last, makes it finished."""
    counts = cost.count(making.network)
    finish = Finish(
        making.config,
        soup,
        making.splits,
        making.screen,
        making.batches,
        count=counts,
        rows=[],
        monitor=making.config.fit.monitor,
        draw=False,
        read_test=True,
        trackers=Trackers(),
        last=averaging.LastEpochs(soup.checkpoints, 0, None),
    )
    found, answered = finish.score_splits()
    if answered and (thresholds := answered[-1][1].thresholds):
        found["thresholds"] = thresholds.kept()
    found |= {
        "finished": now(),
        "params": counts.params,
        "macs": counts.macs,
        "train_seconds": sum(run.metrics()["train_seconds"] for run in making.runs),
        "test_is_val": making.splits.marked,
        "soup": kept,
    }
    run_report.write(soup, *answered[-1], metrics=found)
    soup.write_metrics(found)


def lines(soup: Run, runs: Sequence[Run]) -> list[str]:
    """Returns lines with the scores of a soup beside those of its runs, and the next commands."""
    task, place = soup.task, shlex.quote(str(soup.path))
    taken = soup.metrics()["soup"]["taken"]
    rows = []
    for run in (*runs, soup):
        metrics = run.metrics()
        values = []
        for split in ("val", "test"):
            score = task.leading(metrics.get(split, {}))
            values.append(score.show_interval(metrics[split][score.name], 8) if split in metrics else "-")
        rows.append((run.name + ("" if run is soup or run.name in taken else " (left out)"), *values))
    width = max(len(row[0]) for row in rows)
    title = task.headline.title
    said = [f"{'':<{width}}  {'val ' + title:<28}  test {title}"]
    said += [f"{name:<{width}}  {val:<28}  {test}" for name, val, test in rows]
    best = max(_val(run, task.headline) for run in runs)
    if _val(soup, task.headline) < best:
        said.append(
            "note: the soup scores lower on val than the best of its runs: means of weights work for runs that start from the"
            " same trained weights (--weights), and rarely from scratch"
        )
    return [*said, "", f"scores:  python -m kerascnn.evaluate {place}", f"export:  python -m kerascnn.export {place}"]


def _val(run: Run, score: Any) -> float:
    found = run.metrics().get("val", {}).get(score.name)
    return -np.inf if not found else (1 if score.better == "max" else -1) * float(found["value"])
