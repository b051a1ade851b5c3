"""What the columns of a file of predictions mean: images, true labels, predicted classes, probabilities, costs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kerascnn.errors import UserError
from kerascnn.outside.reading import PredictionColumns

# Usual names, in lower case with _ for spaces and dashes; of several the first that a file has.
ID = (
    *(
        "id",
        "ids",
        "image_id",
        "image",
        "images",
        "path",
        "image_path",
        "filename",
        "file_name",
        "filepath",
        "file_path",
    ),
    *("file", "img", "img_path", "key"),
)
TRUTH = ("true_label", "true_class", "y_true", "truth", "ground_truth", "target", "targets", "true", "label", "labels")
PREDICTED = (
    *("predicted", "prediction", "predictions", "pred", "preds", "y_pred", "predicted_class", "predicted_label"),
    *("pred_label", "pred_class", "class", "class_name", "index", "top1"),
)
SCORES = (
    *("probabilities", "probability", "probs", "prob", "proba", "predict_proba", "y_prob", "y_proba", "softmax"),
    *("scores", "score", "confidence", "logits", "logit"),
)
TOP = ("index", "indices", "class", "classes", "label", "labels", "predicted", "prediction", "pred")
COSTS = ("params", "macs", "train_seconds", "latency_ms", "images_per_second")
_PREFIX = re.compile(r"(?:prob|probs|probability|proba|p|score|logit)[_ .:]", re.IGNORECASE)
_ROW_NUMBERS = re.compile(r"|Unnamed: \d+|__index_level_\d+__")  # what pandas adds
_NUMBERED = re.compile(r"(.+?)_?(\d+)")


@dataclass(frozen=True)
class OutsideTable:
    """The predictions of one file as it has them: classes are text, which may be names or numbers.

    Args:
        path: The file.
        ids: Name of each image, [n].
        labels: True class of each image, [n]; None if the file has none.
        decided: Predicted class of each image, [n]; None if probabilities say it.
        scores: Probabilities or logits, float64 [n, k]; None if there are none.
        names: Class of each column of `scores`, [k]; None where they are in the order of the classes, or in `top`.
        top: Class of each score, [n, k], of scores by rank; None of scores by class.
        logits: Whether `scores` are logits.
        costs: Costs by name (see COSTS), float64 [n].
        first: Number of the first row in messages.
        said: Which columns were read as what, for the screen.
    """

    path: Path
    ids: np.ndarray
    labels: np.ndarray | None
    decided: np.ndarray | None
    scores: np.ndarray | None
    names: tuple[str, ...] | None
    top: np.ndarray | None
    logits: bool
    costs: dict[str, np.ndarray]
    first: int
    said: str

    def row(self, i: int) -> str:
        """Returns the name of a row for messages."""
        return f"{self.path}: row {self.first + i} ({self.ids[i]})"


def interpret(found: PredictionColumns) -> OutsideTable:
    """Returns the meaning of the columns.

    A column called `label` is the truth, but where nothing else could be the prediction (timm, Hugging Face), or beside timm's
    `index`.

    Raises:
        UserError: There is no column of images, none of predictions, or a column has cells that are not numbers.
    """
    columns = _merged({name: column for name, column in found.columns.items() if not _ROW_NUMBERS.fullmatch(name)})
    usual = {_plain(name): name for name in reversed(columns)}
    image = _first(usual, ID)
    if image is None:
        raise UserError(f"{found.path} has no column of images: call it id or path; it has {found.listed}")
    costs = {name: _floats(found, columns[usual[name]], usual[name]) for name in COSTS if name in usual}
    taken = {image, *(usual[name] for name in costs)}
    rest = {name: columns[name] for name in columns if name not in taken}
    scores = _first(usual, SCORES, [name for name in rest if _is_list(rest[name])])
    single = _first(usual, SCORES, [name for name in rest if not _is_list(rest[name])])
    by_rank = _first(usual, TOP, [name for name in rest if _is_list(rest[name])]) if scores else None
    one_each = [name for name in rest if not _is_list(rest[name]) and name != single]
    predicted, truth = _classes(usual, one_each, scored=scores is not None, single=single is not None)
    by_class = () if scores else _class_columns(rest, (predicted, truth, single), one_each)
    if scores is None and predicted is None and not by_class:
        raise UserError(
            f"{found.path} has no predictions: expected a column called class (the predicted one), or one column of "
            f"probabilities for each class; it has {found.listed}"
        )
    table = OutsideTable(
        path=found.path,
        ids=_texts(columns[image]),
        labels=None if truth is None else _texts(columns[truth]),
        decided=None if predicted is None else _texts(columns[predicted]),
        scores=_scores(found, columns, scores, by_class),
        names=tuple(_PREFIX.sub("", name, count=1) for name in by_class) or None,
        top=None if by_rank is None else _table(found, columns[by_rank], by_rank),
        logits=any("logit" in _plain(name) for name in ((scores,) if scores else by_class[:1]) if name),
        costs=costs,
        first=found.first,
        said=_said(image, truth, predicted, scores, by_rank, by_class, costs),
    )
    _check_whole(table)
    return table


def _classes(
    usual: dict[str, str], one_each: Sequence[str], scored: bool, single: bool
) -> tuple[str | None, str | None]:
    """Returns the columns of the predicted and of the true class.

    Args:
        usual: The columns by their plain names.
        one_each: Those that have one cell for each image.
        scored: Whether there is a column of lists of probabilities.
        single: Whether there is a column of one probability for each image.
    """
    predicted, truth = _first(usual, PREDICTED, one_each), _first(usual, TRUTH, one_each)
    if truth is None and predicted is not None and _plain(predicted) not in ("class", "index"):
        truth = _first(usual, ("class",), one_each)
    label_is_predicted = truth is not None and _plain(truth) in ("label", "labels") and (
        (predicted is not None and _plain(predicted) == "index")
        or (predicted is None and not scored and single)
    )  # fmt: skip
    if label_is_predicted:
        return truth if predicted is None else predicted, None
    return predicted, truth


def _said(
    image: str, truth: str | None, predicted: str | None, scores: str | None, by_rank: str | None,
    by_class: Sequence[str], costs: Iterable[str],
) -> str:  # fmt: skip
    parts = [f"images from {image}"]
    parts += [f"labels from {truth}"] if truth else []
    if scores:
        parts.append(
            f"probabilities from {scores}" + (f" by {by_rank}" if by_rank else ", in the order of the classes")
        )
    elif by_class:
        parts.append(f"probabilities from {len(by_class)} columns ({by_class[0]} to {by_class[-1]})")
    parts += [f"predicted class from {predicted}"] if predicted else []
    return ", ".join([*parts, *(f"{name} as given" for name in costs)])


def _check_whole(table: OutsideTable) -> None:
    """Checks that every row has what the table says of its images.

    Raises:
        UserError: An empty cell.
    """
    for values, what in ((table.ids, "image"), (table.labels, "true label"), (table.decided, "predicted class")):
        if values is not None and (empty := np.flatnonzero(values == "")).size:
            raise UserError(f"{table.row(int(empty[0]))}: no {what}: the cell is empty")
    if not len(table.ids):
        raise UserError(f"{table.path} has no rows")


def _merged(columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
    """Returns numbered columns as one list, such as prob_0 and prob_1, or class_1, probability_1, class_2, probability_2.

    Numbered classes are only merged beside as many numbered scores: class_0 and class_1 alone are probabilities by class.
    """
    numbered: dict[str, list[tuple[int, str]]] = {}
    for name, column in columns.items():
        found = _NUMBERED.fullmatch(_plain(name))
        if found and not _is_list(column) and found[1] in (*SCORES, *TOP):
            numbered.setdefault(found[1], []).append((int(found[2]), name))
    sizes = {len(mine) for base, mine in numbered.items() if base in SCORES}
    for base, mine in numbered.items():
        mine.sort()
        places = [place for place, _ in mine]
        if len(mine) not in sizes or places != list(range(places[0], places[0] + len(mine))) or places[0] > 1:
            continue
        texts = np.stack([_texts(columns[name]) for _, name in mine], axis=1)
        columns = {name: column for name, column in columns.items() if name not in {each for _, each in mine}}
        columns[base] = pa.array(texts.tolist(), pa.list_(pa.string()))
    return columns


def _class_columns(
    rest: dict[str, pa.Array], roles: Sequence[str | None], one_each: Sequence[str]
) -> tuple[str, ...]:  # fmt: skip
    """Returns the columns with a number for each image and no other role: a probability for each class."""
    names = [name for name in one_each if name not in roles]
    with_prefix = [name for name in names if _PREFIX.match(name)]
    candidates = with_prefix if len(with_prefix) > 1 else names
    found = tuple(name for name in candidates if _numbers(rest[name]) is not None)
    return found if len(found) > 1 else ()


def _scores(
    found: PredictionColumns, columns: dict[str, pa.Array], scores: str | None, by_class: Sequence[str]
) -> np.ndarray | None:
    if scores:
        return _numbers_of(found, scores, _table(found, columns[scores], scores))
    if by_class:
        return np.stack([_floats(found, columns[name], name) for name in by_class], axis=1)
    return None


def _table(found: PredictionColumns, column: pa.Array, name: str) -> np.ndarray:
    """Returns a column of lists as text [n, k]."""
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    if len(lengths) and (differ := np.flatnonzero(lengths != lengths[0])).size:
        row = int(differ[0])
        raise UserError(
            f"{found.path}: row {found.first + row}: {name} has {lengths[row]} values, the first row {lengths[0]}"
        )
    values = np.asarray(pc.list_flatten(column).to_pylist(), dtype=object)
    return values.reshape(len(column), -1) if len(values) else np.empty((len(column), 0), object)


def _numbers_of(found: PredictionColumns, name: str, values: np.ndarray) -> np.ndarray:
    flat = _floats(found, pa.array(values.ravel().tolist(), pa.string()), name, values.shape[1])
    return flat.reshape(values.shape)


def _floats(found: PredictionColumns, column: pa.Array, name: str, each: int = 1) -> np.ndarray:
    """Returns a column of text as float64; `each` values stand in one row.

    Raises:
        UserError: A cell is not a finite number.
    """
    values = _numbers(column)
    if values is not None and np.isfinite(values).all():
        return values
    texts = column.to_pylist()
    bad = next(i for i, text in enumerate(texts) if not _is_number(text))
    raise UserError(f"{found.path}: row {found.first + bad // each}: {name}: expected a number, got {texts[bad]!r}")


def _numbers(column: pa.Array) -> np.ndarray | None:
    """Returns text as float64, or None if some of it is not a number."""
    try:
        return np.asarray(pc.cast(pc.utf8_trim_whitespace(column), pa.float64()).to_numpy(zero_copy_only=False))
    except pa.ArrowException:
        return None


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _first(usual: dict[str, str], names: Sequence[str], among: Iterable[str] | None = None) -> str | None:
    """Returns the first of the usual names that the file has, as the file writes it."""
    kept = None if among is None else set(among)
    return next((usual[name] for name in names if name in usual and (kept is None or usual[name] in kept)), None)


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _is_list(column: pa.Array) -> bool:
    return bool(pa.types.is_list(column.type))


def _texts(column: pa.Array) -> np.ndarray:
    return np.array([text.strip() for text in column.to_pylist()], dtype=object)
