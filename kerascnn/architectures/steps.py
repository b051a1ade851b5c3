"""What chains of steps (`rows`) make of an image's side and channels; which stem is taken. No TensorFlow here."""

from kerascnn.architectures.rows import Arch, Chain
from kerascnn.architectures.tables import SMALL_IMAGE
from kerascnn.errors import UserError


def chosen_stem(arch: Arch, input_shape: tuple[int | None, int | None, int], stem: str) -> Chain:
    """The paper's stem, or the small one: a 3x3 convolution of stride 1 to the paper's channel count, no pooling."""
    if stem not in ("auto", "small", "large"):
        raise UserError(f"--stem: expected auto, small or large, got {stem!r}")
    sides = [side for side in input_shape[:2] if side is not None]
    small = bool(sides) and max(sides) <= SMALL_IMAGE if stem == "auto" else stem == "small"
    if not small or arch.image_size <= SMALL_IMAGE:
        return arch.stem
    return ((channels(arch.stem, 3), 3),)


def channels(chain: Chain, before: int) -> int:
    """The channels that a chain of steps makes of `before`."""
    for step in chain:
        if isinstance(step[0], int):
            before = step[0]
        elif isinstance(step[0], tuple):
            before = sum(channels(branch, before) for branch in step)
    return before


def minimum(chain: Chain) -> int:
    """The smallest side that leaves every step of `chain` at least one output, and each stride more than one pixel."""
    return next(side for side in range(1, 1025) if _fits(chain, side))


def _fits(chain: Chain, side: int) -> int:
    """The side behind `chain`, 0 where nothing is left."""
    for step in chain:
        splits = isinstance(step[0], tuple)
        side = min(_fits(branch, side) for branch in step) if splits else after(side, *step[1:])
    return side


def after(side: int, kernel: int | tuple[int, int], strides: int = 1, padding: str = "symmetric") -> int:
    """The side behind one convolution or pooling."""
    kernel = kernel if isinstance(kernel, int) else max(kernel)
    if padding == "valid":
        return max(0, (side - kernel) // strides + 1)
    if padding == "ceil":
        return max(0, -(-(side - kernel) // strides) + 1)
    return -(-side // strides) if side >= strides else 0
