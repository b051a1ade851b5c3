"""An evaluation from its flags to the files that it writes."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kerascnn.cli.command import explained
from kerascnn.cli.progress import SILENT, Phases
from kerascnn.data import Room
from kerascnn.data.copies import Copies, known
from kerascnn.data.copies import find as find_copies
from kerascnn.errors import UserError
from kerascnn.evaluation import boxes, explanation, robustness, scores, trust, unknown
from kerascnn.evaluation.evaluate_flags import Evaluate
from kerascnn.evaluation.evaluated_model import EvaluatedModel, find
from kerascnn.report import label_pictures, pictures, tensorboard
from kerascnn.report.html import run_html
from kerascnn.report.page import Gallery
from kerascnn.report.run_page import run_page
from kerascnn.report.run_pictures import PICTURED, worst
from kerascnn.runs import Busy, Run
from kerascnn.runs.files import make_output
from kerascnn.scoring import class_maps, grad_cam, without_copies
from kerascnn.scoring.predictions import Predictions
from kerascnn.statistics import calibration
from kerascnn.statistics.calibration import Temperature

MAPS = 12
METHODS_SHOWN = 3  # images with a map by each method


def evaluate(
    asked: Evaluate,
    say: Callable[[str], None],
    room: Room = Room(),  # noqa: B008 - frozen
    phases: Phases = SILENT,
) -> dict[str, Any]:
    """Runs the artefact, scores its predictions and writes them; returns the content of `--json`.

    Args:
        asked: The flags.
        say: Takes lines.
        room: Resources of the listing.

    Raises:
        UserError: There is no artefact or no images, the classes differ, or the scores cannot be written.
        OSError: `--output` cannot be created.
    """
    if asked.output:
        _check_output(Path(asked.output))
    if asked.boxes is not None:
        if not asked.explain:
            raise UserError("--boxes says where maps should point: give --explain as well")
        boxes.read(asked.boxes)  # what is wrong with it is told at once
    subject = find(Path(asked.target), asked.dataset, asked.data_dir, asked.split, room, phases)
    trusted = trust.find(subject, asked, room)
    unknown.check(subject, asked.unknown)
    if asked.output:
        make_output(Path(asked.output))
    run = _kept_beside(subject, asked, say)
    say(f"data    {subject.splits.name}, {subject.split.name}: {len(subject.split):,} images{_of_whom(subject)}")
    for note in subject.notes():
        say(f"        {note}")
    found = _scored(subject, asked, _copies(subject, asked, room), say, phases, trusted)
    if asked.corruptions:
        found["corruptions"] = robustness.under_corruptions(subject, asked.most, phases)
    if asked.resolutions:
        found["resolutions"] = robustness.over_resolutions(subject, asked.most, phases)
    if asked.unknown is not None:
        found[unknown.KEY], unknown_rule = unknown.measured(subject, asked.unknown, asked.accept, phases)
        if run is not None:
            unknown_rule.keep(run)
    if asked.explain:
        found["explanation"] = explanation.measured(subject, asked.most, asked.boxes, phases)
    predictions = found.pop("predictions")
    kept = _keep(subject, run, asked, found, predictions, phases)
    say(f"kept    {kept or 'nothing: --output FOLDER keeps scores, predictions, pictures'}")
    facts = {"artefact": str(subject.path), "dataset": subject.splits.name, "split": subject.split.name}
    return facts | ({"task": predictions.task.name} if predictions.task.several else {}) | found


def _check_output(folder: Path) -> None:
    """Checks before the scoring, which may take hours, that its results can be written."""
    if Run(folder).config_file.exists():
        raise UserError(f"--output {folder} is a run: expected a folder of its own")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--output {folder} is a file: expected a folder, or a name for a new one")
    if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"--output {folder} cannot be written: make it writable, or choose another folder")


def _kept_beside(subject: EvaluatedModel, asked: Evaluate, say: Callable[[str], None]) -> Run | None:
    """Returns the run that takes the scores if the images are its own, before the scoring, which may take hours.

    Raises:
        UserError: The run is read-only, and there is no --output.
    """
    run = subject.run if subject.own else None
    if run is None:
        return None
    try:
        with run.lock():
            return run
    except Busy:  # the end of the evaluation waits for it
        return run
    except (UserError, OSError) as error:
        why = explained(error) if isinstance(error, OSError) else str(error)
        if not asked.output:
            raise UserError(
                f"run {run.name} cannot take the scores: --output FOLDER keeps them elsewhere ({why})"
            ) from None
        say(f"note    run {run.name} cannot be written: its scores are kept only in {asked.output}")
        return None


def _scored(
    subject: EvaluatedModel,
    asked: Evaluate,
    copies: Copies | None,
    say: Callable[[str], None],
    phases: Phases,
    trusted: trust.Trust,
) -> dict[str, Any]:
    names = subject.predictor.class_names
    count = len(subject.split)
    with phases.phase(f"scoring {subject.split.name}", count) as phase:
        plain = subject.predictions(phase=phase)
    if lacking := len(subject.split) - len(plain.ids):
        say(f"        {lacking} of {len(subject.split):,} images are damaged and do not count")
    with phases.phase("resampling the scores"):
        groups = subject.groups(plain.ids)
        found: dict[str, Any] = {"predictions": plain, "scores": scores.of(plain, names, groups)}
        found["scores"] |= without_copies.scores(plain, subject.splits, copies, groups)
    found["scores"] |= trust.scores(trusted, plain, names, groups, asked)
    if plain.task.several:
        pass  # a temperature is fitted to one label per image
    elif subject.split.name == "val" and subject.own:
        found["scores"] |= _kept(calibration.temperature(plain.probabilities, plain.labels))
    elif (temperature := _of_val(subject)) is not None:
        found["scores"]["calibrated"] = {
            **scores.with_temperature(plain, temperature.value, groups),
            **({"reason": temperature.reason} if temperature.reason else {}),
        }
    if asked.tta != "none":
        with phases.phase(f"scoring {subject.split.name} with views: {asked.tta}", count) as phase:
            several = subject.predictions(robustness.VIEWS[asked.tta], phase=phase)
        found["tta"] = {"views": asked.tta, **scores.of(several, names, subject.groups(several.ids))}
    return found


def _copies(subject: EvaluatedModel, asked: Evaluate, room: Room) -> Copies | None:
    """Returns the copies among the run's own images: what an audit knows, or with --dedupe what is found now.

    Raises:
        UserError: --dedupe for images that are not the run's own, or for those that it was trained on.
    """
    if not subject.own or subject.run is None or subject.split.name == "train":
        if asked.dedupe:
            raise UserError("--dedupe compares val or test images of a run with its own training images")
        return None
    place, fingerprint = subject.run.path.parent, subject.splits.fingerprint
    if not asked.dedupe:
        return known(place, fingerprint)
    return find_copies(subject.splits.train.source, fingerprint, replace(room, contents=place))


def _kept(temperature: Temperature) -> dict[str, Any]:
    """Returns a temperature as in metrics.json, with the reason if val could not determine one."""
    return {"temperature": temperature.value, "temperature_reason": temperature.reason}


def _of_val(subject: EvaluatedModel) -> Temperature | None:
    """Returns the temperature of the run's own val, or None."""
    run = subject.run
    if run is None or run.task.several or not run.has_predictions("val"):
        return None
    val = Predictions.load(run, "val")
    return calibration.temperature(val.probabilities, val.labels)


def _of_whom(subject: EvaluatedModel) -> str:
    if subject.own:
        return f", split as in {subject.run.split_file.name}" if subject.run else ""
    return " that are not the run's own" if subject.run else ""


def _keep(
    subject: EvaluatedModel,
    own: Run | None,
    asked: Evaluate,
    found: dict[str, Any],
    predictions: Predictions,
    phases: Phases,
) -> str:
    """Writes the results to the `own` run and to `--output`; returns the places."""
    split = subject.split.name
    if own is None and not asked.output:
        return ""
    with phases.phase("drawing the pictures"):
        pngs = _pictures(subject, found, predictions)
    if own is not None:
        with own.lock_when_free():  # another evaluation writes for seconds, which is worth the wait
            predictions.save(own, split)
            own.write_metrics(_merged(own.metrics(), split, found, _of_val(subject)))
            for name, png in pngs.items():
                own.write_plot(f"{name}.png", png)
            with phases.phase("writing for TensorBoard"):
                _log(own, split, predictions, pngs, subject.predictor.class_names)
            with phases.phase("explaining the worst mistakes"):
                gallery = _gallery(subject, predictions)
            with phases.phase("writing report.html"):
                own.write_report(run_html(run_page(own, gallery)))
    if asked.output:
        out = Run(asked.output)
        predictions.save(out, split)
        out.write_metrics({split: found})
        for name, png in pngs.items():
            out.write_plot(f"{name}.png", png)
    return " and ".join(str(place) for place in (own.path if own else None, asked.output) if place)


def _merged(
    metrics: dict[str, Any], split: str, found: dict[str, Any], temperature: Temperature | None
) -> dict[str, Any]:
    """Returns a run's metrics with the new results; further results of earlier evaluations stay."""
    extra = {key: value for key, value in found.items() if key != "scores"}
    metrics[split] = {**metrics.get(split, {}), **found["scores"], **extra}
    if temperature is not None:
        metrics["val"] |= _kept(temperature)
    return metrics


def _log(run: Run, split: str, found: Predictions, pngs: dict[str, bytes], names: tuple[str, ...]) -> None:
    """Writes results for TensorBoard."""
    tensorboard.write_images(run.tensorboard, split, pngs)
    tensorboard.write_pr_curves(run.tensorboard, split, found.labels, found.probabilities, names)
    tensorboard.write_layout(run.tensorboard, found.task)


def _pictures(subject: EvaluatedModel, found: dict[str, Any], predictions: Predictions) -> dict[str, bytes]:
    split, names = subject.split.name, subject.predictor.class_names
    drawn = pictures.answers(subject.split, predictions, names)
    drawn |= pictures.measured(split, {**found, **found["scores"]}, predictions, names)
    return drawn | (_maps(subject) if "explanation" in found else {})


def _gallery(subject: EvaluatedModel, predictions: Predictions) -> Gallery:
    """Returns the worst mistakes as the network's input, with maps of the predicted classes."""
    assert predictions.indices is not None  # they were made just now
    images = subject.at(predictions.indices[predictions.worst(PICTURED)])
    network = subject.predictor.network
    model = network if network is not None and grad_cam.has_maps(network) else None
    return worst(subject.split.name, predictions, subject.predictor.class_names, images, model)


def _maps(subject: EvaluatedModel) -> dict[str, bytes]:
    """Draws Grad-CAM beside some images."""
    batches = list(subject.images(MAPS))
    images, places = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    model, names = subject.network(), subject.predictor.class_names
    answered = np.asarray(subject.predictor.infer(images.astype("float32"))).argmax(axis=1)
    labels = subject.labels(places)
    wrong = list(answered != labels) if labels.ndim == 1 else list(~labels[np.arange(len(labels)), answered])
    titles = [
        label_pictures.names(labels[i], names, 2) if labels.ndim == 2 else names[labels[i]] for i in range(len(labels))
    ]
    titles = [
        f"{names[a]}\ntruth: {title}" if bad else f"{names[a]}"
        for a, title, bad in zip(answered, titles, wrong, strict=True)
    ]
    drawn = {}
    if grad_cam.has_maps(model):
        heat = grad_cam.grad_cam(model, images, answered)
        overlays = [grad_cam.overlay(*pair) for pair in zip(images, heat, strict=True)]
        drawn = pictures.maps(subject.split.name, images, overlays, titles, wrong)
    few = slice(METHODS_SHOWN)
    by_method = {
        class_maps.METHODS[name].title: [
            grad_cam.overlay(*pair)
            for pair in zip(images[few], class_maps.class_maps(model, images[few], answered[few], name), strict=True)
        ]
        for name in class_maps.offered(model)
    }
    return drawn | pictures.maps_by_method(subject.split.name, images[few], by_method, titles[few], wrong[few])
