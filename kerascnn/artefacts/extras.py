"""Packages that only some formats need. No TensorFlow."""

import importlib.util

from kerascnn.errors import UserError


def require(extra: str, *modules: str) -> None:
    """Raises UserError, naming the extra that installs them, where one of `modules` is missing."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"this needs {' and '.join(missing)}, which is not installed: pip install 'kerascnn[{extra}]'")
