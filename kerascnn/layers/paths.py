"""Which form of an operation a layer traces: our fast one or stock Keras'.

The choice is made when a layer is traced and leaves no mark in configs or weights.
"""

import contextlib
from collections.abc import Iterator

from kerascnn.compat.tensorflow import under_xla

__all__ = ["stock_paths"]

# Of the whole process, since MirroredStrategy traces its replicas in threads of their own.
_stock = False


@contextlib.contextmanager
def stock_paths() -> Iterator[None]:
    """Within it every layer is traced as stock Keras computes it; what was traced before keeps its form.

    For comparisons (`kerascnn benchmark --vs stock`) and tests: build or compile the model inside.
    """
    global _stock
    before, _stock = _stock, True
    try:
        yield
    finally:
        _stock = before


def fast() -> bool:
    """Whether a fast form may be traced here: outside `stock_paths`, and not under XLA, which fuses plain forms itself."""
    return not _stock and not under_xla()
