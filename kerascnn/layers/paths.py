"""Selects which form of an operation a layer traces: our fast one or that of stock Keras.

The choice is made when a layer is traced and does not appear in configs or weights.
"""

import contextlib
from collections.abc import Iterator

from kerascnn.compat.tensorflow import under_xla

__all__ = ["stock_paths"]

# Global, since MirroredStrategy traces its replicas in separate threads.
_stock = False


@contextlib.contextmanager
def stock_paths() -> Iterator[None]:
    """Within it every layer is traced as in stock Keras; functions that are already traced do not change.

    For comparisons (`kerascnn benchmark --vs stock`) and tests: build or compile the model in it.
    """
    global _stock
    before, _stock = _stock, True
    try:
        yield
    finally:
        _stock = before


def fast() -> bool:
    """Returns whether a fast form may be traced here: outside `stock_paths`, and not under XLA, which fuses plain forms
    itself.
    """
    return not _stock and not under_xla()
