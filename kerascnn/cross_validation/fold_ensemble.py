"""The ensemble of all folds: one network with the mean of their probabilities, kept as a run that was not trained."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from kerascnn import data
from kerascnn.artefacts.opening import load_keras
from kerascnn.cli.screen import Screen
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.cross_validation.fold_plan import FoldPlan
from kerascnn.cross_validation.fold_results import mean_thresholds
from kerascnn.data import Splits
from kerascnn.data.cache import Cache
from kerascnn.data.grouping import groups_of
from kerascnn.devices import timing
from kerascnn.devices.plan import setup
from kerascnn.errors import UserError
from kerascnn.models import cost
from kerascnn.models.ensemble import ensemble
from kerascnn.report import run_report
from kerascnn.runs import Run, now
from kerascnn.scoring import split_scores
from kerascnn.scoring.inference import predict
from kerascnn.scoring.label_metrics import Thresholds
from kerascnn.scoring.predictions import Predictions
from kerascnn.training.batches import Batches
from kerascnn.training.environment import note_environment
from kerascnn.training.saving import save_model


def make(plan: FoldPlan, runs: Mapping[int, Run], screen: Screen) -> tuple[Run, Splits]:
    """Returns the ensemble of finished runs, and its images: those of all folds as train, and the given test if there is one.

    The given test is scored here alone, once, by the ensemble and by each of its members.

    Raises:
        UserError: The images have changed since the runs were trained.
    """
    run, config = Run(plan.directory.ensemble), plan.whole
    plan_of_devices = setup(config.devices, config.fit.batch_size)
    splits = data.load(config.data, data.Room(config.logging.runs_dir, screen.counting), screen)
    if splits.fingerprint != plan.target.fingerprint:
        raise UserError(f"the images of {splits.name} have changed since the folds were trained: restore them")
    made_of = {each.name: hashlib.sha256(each.best_model.read_bytes()).hexdigest() for each in runs.values()}
    if run.finished and run.metrics().get("members") == made_of:
        return run, splits
    with run.lock_when_free():
        with screen.phase("loading the networks of all folds"):
            members = [load_keras(each.best_model) for each in runs.values()]
        run.write_config(config)
        for each in runs.values():
            if each.network_file.exists():
                run.write_network(each.network_file.read_bytes())
        run.write_data(splits.summary(), splits.rows(), splits.skipped)
        with screen.phase("averaging their probabilities"):
            model = ensemble(members, run.task.activation)
        note_environment(run, plan_of_devices, screen.say)
        save_model(model, run.best_model)
        found = {"members": made_of, **_costs(run, model, members[0], runs, screen)}
        thresholds = mean_thresholds([chosen for each in runs.values() if (chosen := each.thresholds)])
        if thresholds:
            found["thresholds"] = thresholds.kept()
        if len(splits.test):
            found |= _scored(config, run, splits, [model, *members], thresholds, screen)
            run_report.write(run, splits.test, Predictions.load(run, "test"), metrics=found)
        run.write_metrics(found)
    return run, splits


def _costs(
    run: Run, model: keras.Model, member: keras.Model, runs: Mapping[int, Run], screen: Screen
) -> dict[str, Any]:
    """Returns the costs of the ensemble, beside those of one member that differ by how it is measured."""
    with screen.phase("counting and timing the ensemble"):
        counts, size = cost.count(model), model.input_shape[1]
        calls = {"ensemble": timing.inference(model, 1, size), "member": timing.inference(member, 1, size)}
        # In turn, so that other work on the machine affects both.
        milliseconds = {name: 1000 * float(np.median(rounds)) for name, rounds in timing.interleaved(calls).items()}
    trained = [each.metrics() for each in runs.values()]
    return {
        "finished": now(),
        "params": counts.params,
        "macs": counts.macs,
        "train_seconds": sum(each["train_seconds"] for each in trained),
        "test_is_val": False,
        "bytes": run.best_model.stat().st_size,
        "latency_ms": milliseconds["ensemble"],
        "member_latency_ms": milliseconds["member"],
    }


def _scored(
    config: ResolvedConfig,
    run: Run,
    splits: Splits,
    models: list[keras.Model],
    thresholds: Thresholds | None,
    screen: Screen,
) -> dict[str, Any]:
    """Returns the scores of the given test by the ensemble, the first of `models`, and by its members."""
    batches = Batches(config, splits, Cache(config.data.cache), screen)
    found = []
    with screen.phase("scoring the given test", len(models)) as phase:
        for model in phase.over(models):
            predictions = predict(model, batches.scoring(splits.test), splits.test.labels, splits.test.ids())
            found.append(replace(predictions, thresholds=thresholds))
    found[0].save(run, "test")
    groups = groups_of(found[0].ids, run)
    scores = [split_scores.score(each, splits.class_names, groups) for each in found]
    return {"test": scores[0], "member_tests": scores[1:]}
