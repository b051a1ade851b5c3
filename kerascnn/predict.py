"""Predict the classes or labels of images: files, folders, patterns, or a list on standard input."""

import contextlib
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
from kerascnn.prediction import decisions, many, network, rows
from kerascnn.prediction.output import Output
from kerascnn.prediction.predict_flags import Predict
from kerascnn.prediction.rows import ImagePrediction
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
    if asked.many.merge is not None:
        return many.merge_alone(asked, argv)
    many.check(asked)
    if not asked.artefact or not (asked.images or asked.many.output):
        raise UserError("which network and which images? kerascnn predict MODEL IMAGE... (kerascnn predict --help)")
    if asked.as_json and asked.as_csv:
        raise UserError("--json and --csv: choose one")
    _check_sorting(asked)
    if asked.reject_unknown and asked.sort_into is not None:
        raise UserError(
            "--reject-unknown prints which images are unknown, --sort-into sorts all of them: give one of the two"
        )
    asked = asked.model_copy(update={"artefact": str(finding.find(asked.artefact))})
    # On the terminal of the predictions if there is one, else on standard error; with --output nothing else is printed.
    screen = Screen(errors=asked.many.output is None and (sys.stdout is None or not sys.stdout.isatty()))
    with starting(screen), quiet():
        from kerascnn import artefacts  # noqa: F401 - TensorFlow
        from kerascnn.data import named
    with quiet(), screen.phase("loading the network"):
        predictor, rule, worth = network.opened(asked)
        overlays = _overlays(asked, predictor)
    if worth:  # said here, since quiet() keeps what is printed within it to itself
        print(f"kerascnn: {worth}", file=sys.stderr)
    if asked.many.output is not None:
        return many.run(asked, argv, predictor, rule, screen)
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
            for file, probabilities, problem, further in batch:
                if probabilities is None:
                    refuse(str(file), str(problem))
                else:
                    found_row = rows.of_image(predictor, asked, rule, str(file), probabilities, further)
                    usable.append((*found_row, probabilities))
            pictures: Sequence[Path | None] = [None] * len(usable)
            if overlays and usable:
                pictures = decisions.drawn(
                    overlays,
                    [prediction.image for prediction, _, _ in usable],
                    [decision for _, decision, _ in usable],
                    predictor.class_names,
                )
            for (prediction, decision, probabilities), picture in zip(usable, pictures, strict=True):
                try:
                    place = (
                        None if sorting is None else decisions.sort(sorting, prediction.image, decision, probabilities)
                    )
                except FileNotFoundError:
                    refuse(prediction.image, "it is gone and could not be sorted")
                    continue
                yield prediction._replace(cam=picture, sorted=place)


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
