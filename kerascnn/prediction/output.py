"""The output of `kerascnn predict`: one line per image as text, JSON or CSV."""

import io
import json
import sys
from typing import Any

from kerascnn.cli.escaping import one_line
from kerascnn.cli.progress import SILENT
from kerascnn.cli.screen import Screen
from kerascnn.prediction import decisions, rows
from kerascnn.prediction.predict_flags import Predict
from kerascnn.prediction.rows import ImagePrediction


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
            further = {"cam": asked.cam, "sorted": asked.sort_into}
            columns = [*rows.columns(asked, classes, several), *(name for name, given in further.items() if given)]
            self._write(rows.csv_line(columns))

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
    if prediction.known is False:
        return f"{one_line(prediction.image)}  unknown"
    if prediction.classes is not None:
        said = decisions.set_text(prediction.classes, labels=prediction.labels is not None)
        return f"{one_line(prediction.image)}  {one_line(said)}"
    if prediction.labels is not None:
        return f"{one_line(prediction.image)}  {one_line(decisions.text(prediction.labels, prediction.top[0]))}"
    top = "  ".join(f"{one_line(name)} {probability:.2%}" for name, probability in prediction.top)
    return f"{one_line(prediction.image)}  {top}"


def _as_json(prediction: ImagePrediction) -> str:
    top = [{"class": name, "probability": rows.short(probability)} for name, probability in prediction.top]
    places = {"cam": prediction.cam, "sorted": prediction.sorted}
    made: dict[str, Any] = {key: str(place) for key, place in places.items() if place is not None}
    if prediction.classes is not None:
        made["set"] = list(prediction.classes)
    if prediction.known is not None:
        made["known"] = prediction.known
    if prediction.labels is not None:
        labels = [{"class": name, "probability": rows.short(probability)} for name, probability in prediction.labels]
        return json.dumps({"image": prediction.image, "labels": labels, "top": top, **made}, allow_nan=False)
    return json.dumps({"image": prediction.image, "class": top[0]["class"], "top": top, **made}, allow_nan=False)


def _as_csv(prediction: ImagePrediction) -> str:
    made = [place for place in (prediction.cam, prediction.sorted) if place is not None]
    return rows.csv_line([*rows.cells(prediction), *made])
