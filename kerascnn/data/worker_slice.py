"""The part of each batch that one of several workers decodes: its own images, and those that they are mixed with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kerascnn.errors import UserError


@dataclass(frozen=True)
class WorkerSlice:
    """Which part of each batch is wanted: of `count` equal parts, in order, the one at `index`."""

    index: int = 0
    count: int = 1

    def own(self, batch_size: int) -> np.ndarray:
        """Returns the positions of its images in a batch, int64 [batch / count].

        Raises:
            UserError: The batch has no equal parts.
        """
        if batch_size % self.count:
            raise UserError(f"a batch of {batch_size} images has no {self.count} equal parts")
        rows = batch_size // self.count
        return np.arange(self.index * rows, (self.index + 1) * rows)


WHOLE = WorkerSlice()


@dataclass(frozen=True)
class Wanted:
    """The images of a batch that are decoded for a part of it, and who belongs to whom among them.

    Attributes:
        positions: Their positions in the batch, int64 [wanted]; first those of the part itself.
        rows: Number of images of the part.
        partners: For each image of the part the place in `positions` of the one that it is mixed with, int64 [rows].
        owners: For each image of the part the place in `positions` of the one whose draws it shares, int64 [rows].
    """

    positions: np.ndarray
    rows: int
    partners: np.ndarray
    owners: np.ndarray


def wanted(part: WorkerSlice, batch_size: int, mix_mode: str | None) -> Wanted:
    """Returns what is decoded for a part of a batch.

    Args:
        part: The part.
        batch_size: Images of the whole batch.
        mix_mode: As `config.Augment` names it; None where images are not mixed.
    """
    own = part.own(batch_size)
    if mix_mode is None:
        places = np.arange(len(own))
        return Wanted(own, len(own), places, places)
    # `neighbor` mixes each image with the one before it; timm's modes mix image i with image n - 1 - i.
    partners = (own - 1) % batch_size if mix_mode == "neighbor" else batch_size - 1 - own
    owners = {"batch": np.zeros_like(own), "pair": np.minimum(own, partners)}.get(mix_mode, own)
    further = np.setdiff1d(np.r_[partners, owners], own)
    positions = np.r_[own, further]
    place = {position: i for i, position in enumerate(positions.tolist())}
    at = [np.array([place[position] for position in some.tolist()], np.int64) for some in (partners, owners)]
    return Wanted(positions, len(own), at[0], at[1])
