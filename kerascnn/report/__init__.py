"""Tables, pictures and pages of results."""

import os
import sys


def _import_matplotlib() -> None:
    """Imports matplotlib whatever MPLBACKEND says: pictures are files, and a name that it does not know is an error."""
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib  # noqa: F401
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend


if "matplotlib" not in sys.modules:
    _import_matplotlib()
