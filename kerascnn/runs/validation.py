"""Validation of the facts that a run or an export stores about itself: a file may be damaged or edited."""

from pathlib import Path
from typing import Any, TypeVar, get_args

from kerascnn.config.images import ResizeMode
from kerascnn.errors import UserError
from kerascnn.scoring.task import TASKS

Facts = TypeVar("Facts", bound=dict[str, Any])


def described(facts: Facts, path: Path) -> Facts:
    """Returns `facts` (data.json, metadata.json) with valid class names, image size and resize mode; missing ones stay missing.

    Raises:
        UserError: One of them is not valid.
    """
    names = facts.get("class_names", ["any"])
    if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
        raise _damaged(path, "class_names", "a list of names", names)
    size = facts.get("image_size", 1)
    if type(size) is not int or size < 1:
        raise _damaged(path, "image_size", "a number of pixels", size)
    modes = get_args(ResizeMode)
    if facts.get("resize", modes[0]) not in modes:
        raise _damaged(path, "resize", " or ".join(modes), facts["resize"])
    if facts.get("task", "single") not in TASKS:
        raise _damaged(path, "task", " or ".join(TASKS), facts["task"])
    for key in ("fingerprint", "name", "arch"):
        if not isinstance(facts.get(key, ""), str):
            raise _damaged(path, key, "text", facts[key])
    return facts


def scored(metrics: Facts, path: Path) -> Facts:
    """Returns `metrics` (metrics.json) with splits that have scores.

    Raises:
        UserError: One of them is not valid.
    """
    for split in ("val", "test"):
        if not isinstance(metrics.get(split, {}), dict):
            raise _damaged(path, split, "scores by name", metrics[split])
    return metrics


def _damaged(path: Path, key: str, expected: str, got: Any) -> UserError:
    return UserError(f"{path} is damaged: {key}: expected {expected}, got {str(got)[:60]!r}")
