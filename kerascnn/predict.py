"""Predict the classes or labels of images: files, folders, patterns, or a list on standard input."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from kerascnn.cli.command import command
from kerascnn.cli.escaping import one_line
from kerascnn.cli.parsing import parse
from kerascnn.cli.screen import Screen, quiet, starting
from kerascnn.errors import CHECK_FAILED, DONE, UserError
from kerascnn.prediction import decisions
from kerascnn.prediction.output import ImagePrediction, Output
from kerascnn.prediction.predict_flags import Predict
from kerascnn.prediction.sorting import Sorting, check_apart
from kerascnn.runs import finding

if TYPE_CHECKING:
    from kerascnn.artefacts import Predictor
    from kerascnn.report.overlays import Overlays
    from kerascnn.scoring.prediction_sets import SetRule


@command
def main(argv: list[str]) -> int:
    """`kerascnn predict MODEL IMAGE...`: prints one line per image, in their order; 1 if some could not be used."""
    asked = parse(Predict, argv, prog="kerascnn predict", description=__doc__ or "")
    if not asked.artefact or not asked.images:
        raise UserError("which network and which images? kerascnn predict MODEL IMAGE... (kerascnn predict --help)")
    if asked.as_json and asked.as_csv:
        raise UserError("--json and --csv: choose one")
    _check_sorting(asked)
    if asked.reject_unknown and asked.sort_into is not None:
        raise UserError(
            "--reject-unknown prints which images are unknown, --sort-into sorts all of them: give one of the two"
        )
    asked = asked.model_copy(update={"artefact": str(finding.find(asked.artefact))})
    # On the terminal of the predictions if there is one, else on standard error.
    screen = Screen(errors=sys.stdout is None or not sys.stdout.isatty())
    with starting(screen), quiet():
        from kerascnn import artefacts
        from kerascnn.data import named
    with quiet(), screen.phase("loading the network"):
        predictor = artefacts.open(
            asked.artefact,
            class_names=_class_names(asked),
            image_size=asked.image_size,
            resize=asked.resize,
            task=asked.task,
        )
        if asked.threshold is not None and not predictor.task.several:
            raise UserError(f"--threshold: {asked.artefact} predicts one class per image, the most probable one")
        overlays = _overlays(asked, predictor)
        rule = _set_rule(asked)
        predictor = _telling_unknown(asked, predictor)
    sorting = _sorting(asked, predictor)
    with Output(asked, len(predictor.class_names), screen, several=predictor.task.several) as output:
        files: Iterable[str] = named.files(
            asked.images,
            output.refuse,
            note=output.note,
            stdin=getattr(sys.stdin, "buffer", None),
            leave_out=[folder for folder in (asked.cam and asked.cam_into, asked.sort_into) if folder is not None],
        )
        if named.STDIN not in asked.images:
            files = list(files)
            output.expect(len(files))
        for prediction in predictions(predictor, files, asked, output.refuse, overlays, sorting, rule):
            output.show(prediction)
    if sorting is not None:
        print(
            f"kerascnn: sorted into {one_line(str(sorting.folder))}: {sorting.summary() or 'nothing'}", file=sys.stderr
        )
    return CHECK_FAILED if output.refused else DONE


def predictions(
    predictor: "Predictor",
    files: Iterable[str],
    asked: Predict,
    refuse: Callable[[str, str], None],
    overlays: "Overlays | None" = None,
    sorting: Sorting | None = None,
    rule: "SetRule | None" = None,
) -> Iterator[ImagePrediction]:
    """Yields predictions in the order of the files; an unusable file is passed to `refuse`. A few batches are in memory."""
    found = predictor.predictions(files, asked.batch_size)
    with contextlib.closing(found):
        while batch := list(islice(found, asked.batch_size if overlays else 1)):
            usable = []
            for file, probabilities, problem in batch:
                if probabilities is None:
                    refuse(str(file), str(problem))
                else:
                    usable.append((str(file), probabilities))
            # With --reject-unknown one more column says whether the image is unknown.
            classes_of = len(predictor.class_names)
            known = [None if len(row) == classes_of else bool(row[classes_of] == 0) for _, row in usable]
            usable = [(file, row[:classes_of]) for file, row in usable]
            decided = [decisions.decided(predictor, probabilities, asked.threshold) for _, probabilities in usable]
            pictures: Sequence[Path | None] = [None] * len(usable)
            if overlays and usable:
                pictures = decisions.drawn(overlays, [file for file, _ in usable], decided, predictor.class_names)
            for (file, probabilities), picture, decision, own in zip(usable, pictures, decided, known, strict=True):
                order = (-probabilities).argsort(kind="stable")[: asked.top]
                top, labels = (
                    [(predictor.class_names[place], float(probabilities[place])) for place in places]
                    for places in (order, decision.labels)
                )
                try:
                    place = None if sorting is None else decisions.sort(sorting, file, decision, probabilities)
                except FileNotFoundError:
                    refuse(file, "it is gone and could not be sorted")
                    continue
                classes = None if rule is None else decisions.in_set(rule, probabilities, predictor.class_names)
                several = labels if predictor.task.several else None
                yield ImagePrediction(file, top, picture, place, several, classes, own)


def _class_names(asked: Predict) -> list[str] | None:
    if asked.class_names is None:
        return None
    if not os.path.isfile(asked.class_names):  # noqa: PTH113 - Path refuses names as long as a list of classes may be
        return asked.class_names.split(",")
    from kerascnn.artefacts import savedmodel

    return savedmodel.read_classes(Path(asked.class_names))


def _overlays(asked: Predict, predictor: "Predictor") -> "Overlays | None":
    if asked.cam is None:
        if given := "--cam-smooth" if asked.cam_smooth else "--cam-into" if asked.cam_into != "cam" else "":
            raise UserError(f"{given} says how maps are drawn: give --cam METHOD as well, as --cam grad-cam")
        return None
    from kerascnn.report.overlays import Drawn, Overlays

    if predictor.network is None:
        raise UserError(f"--cam: {asked.artefact} is no single network to explain: give a run or its .keras file")
    drawn = Drawn(asked.cam, asked.cam_smooth)
    return Overlays(asked.cam_into, predictor.network, predictor.image_size, predictor.resize, drawn)


def _set_rule(asked: Predict) -> "SetRule | None":
    """Returns the rule of prediction sets that the run's calibration images, or its val, give; says what it is worth."""
    if not asked.sets:
        for field, flag in (("coverage", "--coverage"), ("set_score", "--set-score")):
            if getattr(asked, field) != Predict.model_fields[field].default:
                raise UserError(f"{flag} says how prediction sets are made: give --sets as well")
        return None
    from kerascnn.scoring import prediction_sets

    found = prediction_sets.Calibration.of_artefact(Path(asked.artefact))
    if found is None:
        raise UserError(
            f"--sets: {asked.artefact} has no images for thresholds: give a run that was trained with val or calibration images"
        )
    print(f"kerascnn: sets at {asked.coverage:.0%}, {found.why()}", file=sys.stderr)
    return prediction_sets.rule(found, asked.coverage, asked.set_score)


def _telling_unknown(asked: Predict, predictor: "Predictor") -> "Predictor":
    """Returns the predictor, with --reject-unknown one whose rows end in 1 for an unknown image, else 0."""
    if not asked.reject_unknown:
        return predictor
    from kerascnn.evaluation import unknown
    from kerascnn.runs import Run

    path = Path(asked.artefact)
    rule = unknown.UnknownRule.of_run(Run(path if path.is_dir() else path.parent))
    if rule is None or predictor.network is None:
        raise UserError(
            f"--reject-unknown: {asked.artefact} does not know what is unknown yet: kerascnn evaluate {asked.artefact}"
            " --unknown FOLDER of images of other classes measures it"
        )
    return unknown.telling(predictor, rule)


def _check_sorting(asked: Predict) -> None:
    if asked.sort_into is None:
        given = "--link" if asked.link else "--min-confidence" if asked.min_confidence else ""
        if given:
            raise UserError(f"{given} says how images are sorted: give --sort-into DIR as well")
    else:
        check_apart(asked.sort_into, asked.images)


def _sorting(asked: Predict, predictor: "Predictor") -> Sorting | None:
    if asked.sort_into is None:
        return None
    return Sorting(asked.sort_into, predictor.class_names, asked.min_confidence, link=asked.link)


if __name__ == "__main__":
    sys.exit(main())
