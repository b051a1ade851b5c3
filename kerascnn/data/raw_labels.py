"""Labels as shards and arrays give them, numbers or names, one or several per image, turned into those of a source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kerascnn.cli.escaping import one_line
from kerascnn.config.section import nearest
from kerascnn.data.walking import composed
from kerascnn.errors import UserError

# One label: the number of a class, or its name. Several: a list of them, which may be empty.
Label = int | str | list[int] | list[str]
SHOWN = 10


def arranged(
    raw: Sequence[Label],
    told: Sequence[str],
    known: Mapping[int, str] | None = None,
    notes: list[str] | None = None,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns labels as in `Source`, int32 [n] or bool [n, classes], and the class names.

    Classes are in the order of their numbers or, where labels are names, of their names, as in a folder of images.

    Args:
        raw: The label of each image; none is negative. If one is a list, all images have any number of labels.
        told: --class-names: the names by number, or all names in their order.
        known: Names by number, as the data tell them.
        notes: Extended by what was decided.

    Raises:
        UserError: Numbers and names are mixed, or a label is not among the names.
    """
    several = any(isinstance(label, list) for label in raw)
    lists = [label if isinstance(label, list) else [label] for label in raw]
    values = {value for labels in lists for value in labels}
    numbers = {value for value in values if isinstance(value, int)}
    if numbers and len(numbers) < len(values):
        name = next(value for value in values if isinstance(value, str))
        raise UserError(
            f"labels are numbers and names, such as {min(numbers)} and {one_line(name)!r}: use one of the two"
        )
    if len(numbers) == len(values):
        places, names = _by_number(sorted(numbers), told, known or {}, [] if notes is None else notes)
    else:
        places, names = _by_name(sorted(composed(str(value)) for value in values), told)
        places = {value: places[composed(str(value))] for value in values}
    if not several:
        return np.array([places[labels[0]] for labels in lists], np.int32), names
    found = np.zeros((len(lists), len(names)), bool)
    for row, labels in zip(found, lists, strict=True):
        row[[places[value] for value in labels]] = True
    return found, names


def _by_number(
    numbers: Sequence[int], told: Sequence[str], known: Mapping[int, str], notes: list[str]
) -> tuple[dict[int | str, int], tuple[str, ...]]:
    if told:
        first = 1 if numbers and numbers[0] >= 1 and numbers[-1] == len(told) else 0
        if numbers and numbers[-1] - first >= len(told):
            raise UserError(f"--class-names has {len(told)} names, and a label is {numbers[-1]}: labels count from 0")
        if first:
            notes.append(f"labels count from 1: 1 is {told[0]}, {len(told)} is {told[-1]}")
        return {number: number - first for number in numbers}, tuple(told)
    names = tuple(composed(known.get(number, str(number))) for number in numbers)
    twice = [name for name in names if names.count(name) > 1] if len(set(names)) < len(names) else []
    if twice:
        raise UserError(f"two labels have the name {one_line(twice[0])!r}: name the classes with --class-names")
    return {number: place for place, number in enumerate(numbers)}, names


def _by_name(values: Sequence[str], told: Sequence[str]) -> tuple[dict[int | str, int], tuple[str, ...]]:
    names = tuple(told) or tuple(dict.fromkeys(values))
    places: dict[int | str, int] = {composed(name): place for place, name in enumerate(names)}
    strange = [value for value in values if value not in places]
    if strange:
        shown = ", ".join(names[:SHOWN]) + (" ..." if len(names) > SHOWN else "")
        raise UserError(
            f"label {one_line(strange[0])!r} is not among the class names{nearest(strange[0], names)}; they are {shown}"
        )
    return places, names
