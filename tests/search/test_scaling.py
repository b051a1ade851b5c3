"""The widest network within a limit that is measured: on costs like those of small networks, with a fixed part."""

import numpy as np
import pytest

from kerascnn.search import scaling


@pytest.mark.parametrize("fixed", [0.0, 0.5])
@pytest.mark.parametrize("begin", [0.25, 1.0, 8.0])
def test_it_comes_close_from_both_sides(fixed: float, begin: float) -> None:
    calls: list[float] = []

    def share(width: float) -> float:
        calls.append(width)
        return fixed + (1 - fixed) * (width / 1.5) ** 2

    found = scaling.widest(share, begin, 1 / 64, 16.0)
    assert scaling.CLOSE <= share(found) <= 1
    assert len(calls) - 1 <= scaling.TRIES


def test_bounds_hold() -> None:
    assert scaling.widest(lambda width: 0.01 * width, 1.0, 1 / 64, 4.0) == 4.0
    assert scaling.widest(lambda width: 0.5, 1.0, 1 / 64, 1.0) == 1.0
    assert scaling.widest(lambda width: 5.0, 1.0, 1 / 64, 16.0) is None


def test_noise_never_lets_a_miss_through() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        measured: dict[float, float] = {}

        def share(width: float, measured=measured) -> float:
            return measured.setdefault(width, 0.4 + 0.5 * width + float(rng.normal(0, 0.05)))

        found = scaling.widest(share, 1.0, 1 / 64, 16.0)
        assert measured[found] <= 1
