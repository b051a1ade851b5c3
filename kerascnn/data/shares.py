"""Sizes of cut splits, and the number of each path by which they are cut. No TensorFlow."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

BOTH, ONE = 0.15, 0.1  # cut shares: of val and test each if both are missing, of val if only val is


def numbers(keys: Sequence[str], seed: int, purpose: str = "") -> np.ndarray:
    """Returns a number in [0, 1) for each key, float64 [n]: the first 53 bits of sha256("<purpose><seed>,<key>")."""
    digests = (hashlib.sha256(f"{purpose}{seed},{key}".encode()).digest() for key in keys)
    return np.array([int.from_bytes(digest[:8], "big") >> 11 for digest in digests], np.float64) * 2.0**-53
