"""Child processes that end at once, as a full disk or the kernel would end them."""

import os
from pathlib import Path

import pytest


def doom(folder: Path, code: int, patch: pytest.MonkeyPatch) -> None:
    """Let every Python process that this one starts end with `code`; a negative one is a signal, as for subprocess."""
    how = f"os._exit({code})" if code >= 0 else f"os.kill(os.getpid(), {-code})"
    (folder / "sitecustomize.py").write_text(f"import os\n{how}\n")  # Python runs it before anything else
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    patch.setenv("PYTHONPATH", os.pathsep.join(paths))
