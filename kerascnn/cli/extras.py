"""Packages that only some formats and commands need. No TensorFlow."""

import importlib.util

from kerascnn.errors import UserError


def require(extra: str, *modules: str) -> None:
    """Raises UserError with the name of the extra if one of `modules` is not installed."""
    if absent := missing(*modules):
        raise UserError(f"this needs {' and '.join(absent)}, which is not installed: pip install 'kerascnn[{extra}]'")


def missing(*modules: str) -> list[str]:
    """Returns those of `modules` that are not installed."""
    return [name for name in modules if importlib.util.find_spec(name) is None]
