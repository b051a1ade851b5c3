"""Packages that only some formats and commands need. No TensorFlow."""

import importlib.util

from kerascnn.errors import UserError


def require(extra: str, *modules: str) -> None:
    """Raises UserError with the name of the extra if one of `modules` is not installed."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"this needs {' and '.join(missing)}, which is not installed: pip install 'kerascnn[{extra}]'")
