"""Predict the classes or labels of images: files, folders, patterns, or a list on standard input."""

import contextlib
import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import tyro
from pydantic import Field

from kerascnn.cli.command import command
from kerascnn.cli.escaping import one_line
from kerascnn.cli.parsing import parse
from kerascnn.cli.progress import SILENT
from kerascnn.cli.screen import Screen, quiet, starting
from kerascnn.config.section import Section
from kerascnn.data import formats
from kerascnn.errors import CHECK_FAILED, DONE, UserError
from kerascnn.prediction import decisions
from kerascnn.prediction.sorting import UNSURE, Sorting, check_apart
from kerascnn.runs import Run, finding

if TYPE_CHECKING:
    from kerascnn.artefacts import Predictor
    from kerascnn.report.overlays import Overlays
    from kerascnn.scoring.prediction_sets import SetRule


class Predict(Section):
    """The flags of `kerascnn predict`."""

    artefact: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")] = Field(
        "",
        description="a run (its directory, its name, or latest), a .keras file, a SavedModel, a LiteRT or an ONNX file",
    )
    images: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE...")] = Field(
        (),
        description="files, folders (all images below), quoted patterns, or - for a list on standard input; in "
        f"{formats.NAMES}",
    )
    top: int = Field(5, ge=1, description="number of classes per image, the most probable first")
    threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="of a network of several labels per image: every label from this probability on (default: those that"
        " val chose, of each class its own)",
    )
    task: Literal["single", "multi"] | None = Field(
        None, description="for a bare .keras file: as --task of fit (default: single)"
    )
    sets: bool = Field(
        False, description="print the prediction set of each image: its class, or unsure: cat | dog (of a run)"
    )
    coverage: float = Field(
        0.9, gt=0, lt=1, description="with --sets: share of images like val's whose true class is in their set"
    )
    set_score: Literal["lac", "aps", "raps"] = Field(
        "lac", description="with --sets: lac (smallest), aps (never empty), raps (aps, no very large sets)"
    )
    batch_size: int = Field(32, ge=1, description="images of one call of the network")
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = Field(
        False, description="print one JSON object per image and line, nothing else on standard output"
    )
    as_csv: Annotated[bool, tyro.conf.arg(name="csv")] = Field(
        False, description="print CSV with a header and one row per image, nothing else on standard output"
    )
    cam: str | None = Field(
        None,
        description="folder for Grad-CAM overlays of the predicted class or labels (of a run or a .keras file)",
        json_schema_extra={"metavar": "DIR"},
    )
    sort_into: str | None = Field(
        None,
        description="folder into which each image is copied, below the name of its predicted class, or of each label",
        json_schema_extra={"metavar": "DIR"},
    )
    min_confidence: float = Field(
        0.0, ge=0, le=1, description=f"with --sort-into: images with a lower probability go into the folder {UNSURE}"
    )
    link: bool = Field(False, description="with --sort-into: make symbolic links instead of copies")
    class_names: str | None = Field(
        None, description="for a bare .keras file: cat,dog,... or a file of one name per line (an export's classes.txt)"
    )
    image_size: int | None = Field(
        None, ge=8, le=1024, description="for a bare .keras file that takes any size: height and width in pixels"
    )
    resize: Literal["crop", "pad", "squash"] | None = Field(
        None, description="for a bare .keras file: as --resize of fit (default: crop above 64 px, else squash)"
    )


class ImagePrediction(NamedTuple):
    """The prediction for one image.

    Attributes:
        image: Its path as given.
        top: (class, probability), the most probable first.
        cam: The overlay, or None; that of the most probable label.
        sorted: Where it was sorted to, or None; the folder of the most probable label.
        labels: (class, probability) of every predicted label, the most probable first, or None of one class per image.
        classes: Names of the prediction set, the most probable first, or None without --sets.
    """

    image: str
    top: Sequence[tuple[str, float]]
    cam: Path | None
    sorted: Path | None = None
    labels: Sequence[tuple[str, float]] | None = None
    classes: Sequence[str] | None = None


@command
def main(argv: list[str]) -> int:
    """`kerascnn predict MODEL IMAGE...`: prints one line per image, in their order; 1 if some could not be used."""
    asked = parse(Predict, argv, prog="kerascnn predict", description=__doc__ or "")
    if not asked.artefact or not asked.images:
        raise UserError("which network and which images? kerascnn predict MODEL IMAGE... (kerascnn predict --help)")
    if asked.as_json and asked.as_csv:
        raise UserError("--json and --csv: choose one")
    _check_sorting(asked)
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
        rule = _set_rule(asked, predictor, screen)
    sorting = _sorting(asked, predictor)
    with Output(asked, len(predictor.class_names), screen, several=predictor.task.several) as output:
        files: Iterable[str] = named.files(
            asked.images,
            output.refuse,
            note=output.note,
            stdin=getattr(sys.stdin, "buffer", None),
            leave_out=[folder for folder in (asked.cam, asked.sort_into) if folder is not None],
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
            decided = [decisions.decided(predictor, probabilities, asked.threshold) for _, probabilities in usable]
            pictures: Sequence[Path | None] = [None] * len(usable)
            if overlays and usable:
                pictures = decisions.drawn(overlays, [file for file, _ in usable], decided, predictor.class_names)
            for (file, probabilities), picture, decision in zip(usable, pictures, decided, strict=True):
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
                yield ImagePrediction(file, top, picture, place, several, classes)


def _class_names(asked: Predict) -> list[str] | None:
    if asked.class_names is None:
        return None
    if not os.path.isfile(asked.class_names):  # noqa: PTH113 - Path refuses names as long as a list of classes may be
        return asked.class_names.split(",")
    from kerascnn.artefacts import savedmodel

    return savedmodel.read_classes(Path(asked.class_names))


def _overlays(asked: Predict, predictor: "Predictor") -> "Overlays | None":
    if asked.cam is None:
        return None
    from kerascnn.report.overlays import Overlays

    if predictor.network is None:
        raise UserError(f"--cam: {asked.artefact} is no single network to explain: give a run or its .keras file")
    return Overlays(asked.cam, predictor.network, predictor.image_size, predictor.resize)


def _set_rule(asked: Predict, predictor: "Predictor", screen: Screen) -> "SetRule | None":
    """Returns the rule of prediction sets that the run's calibration images, or its val, give; says what it is worth."""
    if not asked.sets:
        return None
    from kerascnn.scoring import prediction_sets

    run = Run(asked.artefact)
    found = prediction_sets.Calibration.of_run(run) if run.config_file.exists() else None
    if found is None:
        raise UserError(
            f"--sets: {asked.artefact} has no images for thresholds: give a run that was trained with val or calibration images"
        )
    print(f"kerascnn: sets at {asked.coverage:.0%}, {found.why()}", file=sys.stderr)
    return prediction_sets.rule(found, asked.coverage, asked.set_score)


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


class Output:
    """Prints predictions on standard output, problems on standard error, and progress on the screen.

    Args:
        asked: The flags.
        classes: Number of classes.
        screen: The screen of the phase, above which predictions are printed on a terminal.
        several: Whether images have several labels.

    Attributes:
        refused: Number of images that could not be used, and of folders and patterns without any.
    """

    def __init__(self, asked: Predict, classes: int, screen: Screen, several: bool = False) -> None:
        self._screen, self._phase = screen, SILENT.phase("predicting")
        self.refused = 0
        self._shown = 0
        self._line = _as_json if asked.as_json else _as_csv if asked.as_csv else _as_text
        if asked.as_csv:
            # A path is printed with its own bytes, UTF-8 or not.
            if isinstance(sys.stdout, io.TextIOWrapper):
                sys.stdout.reconfigure(errors="surrogateescape")
            columns = (
                list(decisions.COLUMNS)
                if several
                else [
                    f"{name}_{place}"
                    for place in range(1, min(asked.top, classes) + 1)
                    for name in ("class", "probability")
                ]
            )
            self._write(
                _csv_line(
                    ["image", *columns, *(["set"] if asked.sets else []), *(["cam"] if asked.cam else []), *(["sorted"] if asked.sort_into else [])]
                )
            )

    def __enter__(self) -> "Output":
        self._phase = self._screen.phase("predicting", told=False)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._phase.end()
        if kind is None and self.refused:
            print(f"kerascnn: {self.refused} could not be used, {self._shown} predicted", file=sys.stderr)

    def expect(self, total: int) -> None:
        """Sets the number of images."""
        self._phase.expect(total)

    def refuse(self, image: str, problem: str) -> None:
        """Reports an image that cannot be used."""
        self.refused += 1
        self._say(f"kerascnn: {one_line(image)}: {one_line(problem)}")
        self._phase.advance()

    def _say(self, message: str) -> None:
        if self._screen.live:
            self._screen.say(message)
        else:
            sys.stdout.flush()
            print(message, file=sys.stderr, flush=True)

    def note(self, folder: str, why: str) -> None:
        """Reports that a folder is skipped, which is not an error."""
        self._say(f"kerascnn: {one_line(folder)}: skipped: {why}")

    def show(self, prediction: ImagePrediction) -> None:
        """Prints one prediction."""
        self._shown += 1
        self._write(self._line(prediction))
        self._phase.advance()

    def _write(self, line: str) -> None:
        if self._screen.live and sys.stdout.isatty():
            self._screen.say(line)
        else:
            print(
                line, flush=True
            )  # flushed, so that a reader gets each line at once, and a closed pipe ends the command


def _as_text(prediction: ImagePrediction) -> str:
    if prediction.classes is not None:
        said = decisions.set_text(prediction.classes, labels=prediction.labels is not None)
        return f"{one_line(prediction.image)}  {one_line(said)}"
    if prediction.labels is not None:
        return f"{one_line(prediction.image)}  {one_line(decisions.text(prediction.labels, prediction.top[0]))}"
    top = "  ".join(f"{one_line(name)} {probability:.2%}" for name, probability in prediction.top)
    return f"{one_line(prediction.image)}  {top}"


def _as_json(prediction: ImagePrediction) -> str:
    top = [{"class": name, "probability": _short(probability)} for name, probability in prediction.top]
    places = {"cam": prediction.cam, "sorted": prediction.sorted}
    made: dict[str, Any] = {key: str(place) for key, place in places.items() if place is not None}
    if prediction.classes is not None:
        made["set"] = list(prediction.classes)
    if prediction.labels is not None:
        labels = [{"class": name, "probability": _short(probability)} for name, probability in prediction.labels]
        return json.dumps({"image": prediction.image, "labels": labels, "top": top, **made}, allow_nan=False)
    return json.dumps({"image": prediction.image, "class": top[0]["class"], "top": top, **made}, allow_nan=False)


def _as_csv(prediction: ImagePrediction) -> str:
    cells: list[Any] = [cell for name, probability in prediction.top for cell in (name, _short(probability))]
    if prediction.labels is not None:
        cells = decisions.cells(prediction.labels)
    cells += [] if prediction.classes is None else [decisions.SEPARATOR.join(prediction.classes)]
    made = [place for place in (prediction.cam, prediction.sorted) if place is not None]
    return _csv_line([prediction.image, *cells, *made])


def _csv_line(cells: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(
        cells
    )  # both characters are quoted within a cell, because they end a line
    return text.getvalue().removesuffix("\r\n")


def _short(probability: float) -> float:
    """Rounds to nine digits, which hold a float32 exactly."""
    return float(f"{probability:.9g}")


if __name__ == "__main__":
    sys.exit(main())
