"""Neighbors in feature space: pairs that are far closer to each other than to others."""

import numpy as np

from kerascnn.auditing import feature_neighbors
from kerascnn.auditing.feature_neighbors import neighbors


def test_pairs_stand_out(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 32))
    rows[41] = rows[7] + 0.1 * rng.normal(size=32)
    rows[50] = rows[20] + 0.05 * rng.normal(size=32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    ids = [str(i) for i in range(60)]
    found = neighbors(ids, rows.astype(np.float16))
    assert [(one.first, one.second) for one in found] == [("20", "50"), ("7", "41")]
    assert found[0].ratio < found[1].ratio < 0.35
    monkeypatch.setattr(feature_neighbors, "ROWS", 7)
    assert [one[:2] for one in neighbors(ids, rows.astype(np.float16))] == [one[:2] for one in found]


def test_few_images_have_none() -> None:
    assert neighbors(["a", "b"], np.eye(2, dtype=np.float16)) == []
