"""The reusable layers. Importing this module registers all of them, as loading a `.keras` file requires.

The `__all__` of each module lists its public classes.
"""

from kerascnn.layers import article, conv, ensemble, inception, norm, parts, paths, preprocess, residual, xception
from kerascnn.layers.article import *
from kerascnn.layers.conv import *
from kerascnn.layers.ensemble import *
from kerascnn.layers.inception import *
from kerascnn.layers.norm import *
from kerascnn.layers.parts import *
from kerascnn.layers.paths import *
from kerascnn.layers.preprocess import *
from kerascnn.layers.residual import *
from kerascnn.layers.xception import *

__all__ = (
    article.__all__
    + conv.__all__
    + ensemble.__all__
    + inception.__all__
    + norm.__all__
    + parts.__all__
    + paths.__all__
    + preprocess.__all__
    + residual.__all__
    + xception.__all__
)
