"""Systems of other programs: their files, matched with the images and classes of a comparison."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import softmax

from kerascnn.cli.escaping import expanded, one_line
from kerascnn.errors import UserError
from kerascnn.outside import truth as truths
from kerascnn.outside.columns import OutsideTable, interpret
from kerascnn.outside.matching import ImageNames
from kerascnn.outside.reading import read
from kerascnn.outside.truth import Truth
from kerascnn.scoring.predictions import Predictions

# Probabilities are often rounded; what differs more from 1 is something else, such as logits.
SUM_WITHIN = 0.02
_SEED = re.compile(r"[-_. ]?seed[-_=]?\d+$", re.IGNORECASE)


@dataclass(frozen=True)
class GivenCost:
    """The cost of a system as its files give it; None where they do not.

    Args:
        params: Number of weights.
        macs: Multiply-adds of the inference of one image.
        train_seconds: Seconds of a training.
        latency_p50: Median milliseconds of the inference of one image.
        latency_p95: 95th percentile of the same.
        throughput: Images per second of inference.
        latencies: The median of each file, if every file gives one.
    """

    params: int | None = None
    macs: int | None = None
    train_seconds: float | None = None
    latency_p50: float | None = None
    latency_p95: float | None = None
    throughput: float | None = None
    latencies: tuple[float, ...] = ()
    images_per_second: float | None = None
    memory: int | None = None
    export: int | None = None


@dataclass(frozen=True)
class OutsideSystem:
    """The predictions of a system for the images of a comparison.

    Args:
        name: Its name.
        files: One file per seed.
        predictions: Predictions of each file, in the order of the truth's images. Without probabilities, the predicted class
            has probability 1.
        by_class_only: Whether probabilities are not known, so that only scores of predicted classes are.
        cost: Its cost.
        said: What was read as what.
        digest: SHA-256 of the files.
    """

    name: str
    files: tuple[Path, ...]
    predictions: tuple[Predictions, ...]
    by_class_only: bool
    cost: GivenCost
    said: str
    digest: str


def read_systems(words: Sequence[str], truth: Truth | None, given: Path | None) -> tuple[Truth, list[OutsideSystem]]:
    """Returns the truth and the systems of `--predictions`.

    Args:
        words: FILE or NAME=FILE; a file may be a pattern. Files of one name are the seeds of one system.
        truth: The truth of runs that take part; None without them.
        given: `--truth`.

    Raises:
        UserError: A file is missing, cannot be understood, or is not about the same images and classes.
    """
    files = named_files(words)
    tables = {path: interpret(read(path)) for paths in files.values() for path in paths}
    if truth is None:
        truth = truths.of_tables(list(tables.values()), given)
    images = ImageNames([str(name) for name in truth.ids], truth.where)
    return truth, [_system(name, [tables[path] for path in paths], truth, images) for name, paths in files.items()]


def named_files(words: Sequence[str]) -> dict[str, list[Path]]:
    """Returns the files of each system, by its name: that before `=`, else the file's without a final seed3."""
    found: dict[str, list[Path]] = {}
    for word in words:
        name, told, pattern = word.partition("=")
        if not told or expanded(word).exists():
            name, pattern = "", word
        paths = [expanded(pattern)]
        if not paths[0].exists() and any(sign in paths[0].name for sign in "*?["):
            paths = sorted(paths[0].parent.glob(paths[0].name), key=lambda path: _natural(path.name))
        if not paths or not pattern:
            raise UserError(f"--predictions {one_line(word)}: there is no such file")
        for path in paths:
            mine = found.setdefault(name or _SEED.sub("", path.stem) or path.stem, [])
            if path in mine:
                raise UserError(f"--predictions: {one_line(str(path))} is given twice")
            mine.append(path)
    return found


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]


def _system(name: str, tables: Sequence[OutsideTable], truth: Truth, images: ImageNames) -> OutsideSystem:
    found = [_predictions(table, truth, images) for table in tables]
    hard = any(certain for _, certain in found)
    if hard:  # of a system whose seeds differ in what they give, that which all give
        found = [(predictions if certain else _certain(predictions), True) for predictions, certain in found]
    others = sorted({len(table.ids) - len(truth.ids) for table in tables} - {0})
    said = tables[0].said + (f"; {others[-1]:,} rows of other images are left out" if others else "")
    digest = hashlib.sha256()
    for table in tables:
        for file in sorted(table.path.rglob("*.txt")) if table.path.is_dir() else [table.path]:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return OutsideSystem(
        name,
        tuple(table.path for table in tables),
        tuple(predictions for predictions, _ in found),
        hard,
        _cost(tables),
        said + ("; no probability of every class, so that only predicted classes are judged" if hard else ""),
        digest.hexdigest(),
    )


def _certain(found: Predictions) -> Predictions:
    classes = found.probabilities.shape[1]
    certain = np.eye(classes, dtype="float32")[found.predicted]
    return Predictions(found.ids, found.indices, found.labels, certain)


def _predictions(table: OutsideTable, truth: Truth, images: ImageNames) -> tuple[Predictions, bool]:
    """Returns the predictions for the truth's images, and whether only their classes are known."""
    rows = images.rows([str(name) for name in table.ids], str(table.path))
    _check_labels(table, truth, rows)
    columns = _columns(table, truth.class_names)
    decided = None if table.decided is None else _numbers(table, table.decided, truth.class_names)[rows]
    if table.scores is None or columns is None:
        if decided is None and table.top is not None and table.scores is not None:
            best = table.top[np.arange(len(table.ids)), table.scores.argmax(axis=1)]
            decided = _numbers(table, best, truth.class_names)[rows]
        if decided is None:
            raise UserError(
                f"{table.path}: expected a probability for each of the {len(truth.class_names)} classes "
                f"({', '.join(truth.class_names[:6])}), or a column called class; got {_what(table)}"
            )
        certain = np.eye(len(truth.class_names), dtype="float32")[decided]
        return Predictions(truth.ids, None, truth.labels, certain), True
    probabilities = np.take_along_axis(_probabilities(table), columns, axis=1)[rows].astype("float32")
    if decided is not None:
        _check_decided(table, rows, probabilities, decided, truth.class_names)
    return Predictions(truth.ids, None, truth.labels, probabilities), False


def _what(table: OutsideTable) -> str:
    count = 0 if table.scores is None else table.scores.shape[1]
    return f"{count} ({', '.join(table.names[:6])})" if table.names else f"{count} without names"


def _columns(table: OutsideTable, names: tuple[str, ...]) -> np.ndarray | None:
    """Returns which score of each row is that of each class, int [n, C]; None where a class has no score.

    Raises:
        UserError: A class is unknown, or a row has a class twice.
    """
    if table.scores is None:
        return None
    n, k = table.scores.shape
    if table.top is not None:
        if k != len(names):
            return None
        places = np.stack([_numbers(table, table.top[:, i], names) for i in range(k)], axis=1)
        columns = places.argsort(axis=1, kind="stable")
        if (twice := np.flatnonzero((np.sort(places, axis=1) != np.arange(k)).any(axis=1))).size:
            raise UserError(f"{table.row(int(twice[0]))}: expected each class once, got one twice")
        return columns
    if table.names is None:
        return np.tile(np.arange(k), (n, 1)) if k == len(names) else None
    at = [truths.place_of(name, names) for name in table.names]
    if any(place not in at for place in range(len(names))):
        return None
    return np.tile([at.index(place) for place in range(len(names))], (n, 1))


def _probabilities(table: OutsideTable) -> np.ndarray:
    """Returns the scores as probabilities that sum to 1.

    Raises:
        UserError: They do not nearly sum to 1, or one is negative.
    """
    assert table.scores is not None
    if table.logits:
        return softmax(table.scores, axis=1)
    sums = table.scores.sum(axis=1)
    wrong = np.flatnonzero((np.abs(sums - 1) > SUM_WITHIN) | (table.scores < 0).any(axis=1))
    if wrong.size:
        i = int(wrong[0])
        least = float(table.scores[i].min())
        what = f"a probability of {least:g}" if least < 0 else f"probabilities that sum to {sums[i]:.4g}"
        hint = f"; {table.said}"
        raise UserError(
            f"{table.row(i)}: {what}, as {wrong.size:,} of {len(sums):,} rows have: expected probabilities of one class per "
            f"image, which sum to 1 (logits: call the columns logit_CLASS){hint}"
        )
    return table.scores / sums[:, None]


def _numbers(table: OutsideTable, texts: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Returns the class of each text, int64 [n].

    Raises:
        UserError: A text is neither a class nor the number of one.
    """
    by_text = {text: truths.place_of(text, names) for text in dict.fromkeys(texts.tolist())}
    places = [by_text[text] for text in texts.tolist()]
    if None in places:
        i = places.index(None)
        shown = ", ".join(names[:8]) + (" ..." if len(names) > 8 else "")
        raise UserError(
            f"{table.row(i)}: {one_line(str(texts[i]))} is neither a class nor the number of one: the {len(names)} "
            f"classes are {shown}"
        )
    return np.array(places, np.int64)


def _check_labels(table: OutsideTable, truth: Truth, rows: np.ndarray) -> None:
    """Checks that the file's own labels are the truth.

    Raises:
        UserError: They are not.
    """
    if table.labels is None:
        return
    mine = _numbers(table, table.labels, truth.class_names)[rows]
    wrong = np.flatnonzero(mine != truth.labels)
    if wrong.size:
        i = int(wrong[0])
        names = truth.class_names
        raise UserError(
            f"{table.path}: {wrong.size:,} of {len(rows):,} labels are not those of {truth.where}: {truth.ids[i]} is "
            f"{names[mine[i]]} here, {names[truth.labels[i]]} there: expected the same truth in all files"
        )


def _check_decided(
    table: OutsideTable, rows: np.ndarray, probabilities: np.ndarray, decided: np.ndarray, names: tuple[str, ...]
) -> None:
    """Checks that the predicted class is the most probable one.

    Raises:
        UserError: It is not.
    """
    short = probabilities.max(axis=1) - probabilities[np.arange(len(decided)), decided]
    wrong = np.flatnonzero(short > SUM_WITHIN / 2)
    if wrong.size:
        i = int(wrong[0])
        raise UserError(
            f"{table.row(int(rows[i]))}: predicts {names[decided[i]]}, but {names[int(probabilities[i].argmax())]} has the "
            f"highest probability, so in {wrong.size:,} of {len(rows):,} rows: drop the column of the two that is wrong"
        )


def _cost(tables: Sequence[OutsideTable]) -> GivenCost:
    """Returns the cost in the files: the median over files of each file's median."""

    def median(name: str, share: float = 0.5) -> float | None:
        values = [float(np.quantile(table.costs[name], share)) for table in tables if name in table.costs]
        return float(np.median(values)) if values else None

    def count(name: str) -> int | None:
        value = median(name)
        return None if value is None else round(value)

    each = [float(np.median(table.costs["latency_ms"])) for table in tables if "latency_ms" in table.costs]
    return GivenCost(
        count("params"),
        count("macs"),
        median("train_seconds"),
        median("latency_ms"),
        median("latency_ms", 0.95),
        median("images_per_second"),
        tuple(each) if len(each) == len(tables) and min(each) > 0 else (),
    )
