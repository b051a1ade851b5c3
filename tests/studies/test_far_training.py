"""What a machine of a cluster is told, and what it says where it cannot train."""

import os
from pathlib import Path

import pytest

from kerascnn.config import Config
from kerascnn.errors import UserError
from kerascnn.runs import Run
from kerascnn.studies import far_training
from kerascnn.studies.placement import Placement, of_one_run


def test_bits_travel_with_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", "3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    order = far_training.order_of(Run(tmp_path / "run"), 2, True, cpus=5, gpus=0)
    assert order.environment["TF_NUM_INTRAOP_THREADS"] == "5"
    assert order.environment["TF_NUM_INTEROP_THREADS"] == "3"
    assert order.environment["OMP_NUM_THREADS"] is None  # Ray sets it, and it must not be set
    assert order.environment["CUDA_VISIBLE_DEVICES"] == "-1"
    assert "CUDA_VISIBLE_DEVICES" not in far_training.order_of(Run("run"), None, False, cpus=1, gpus=1).environment
    assert far_training.Order.model_validate_json(order.model_dump_json()) == order


@pytest.mark.parametrize("there", [False, True], ids=["no such folder", "no such run"])
def test_folders_that_are_not_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.chdir(tmp_path)
    order = far_training.order_of(Run("runs/one"), None, False, cpus=1, gpus=0)
    gone = order.model_copy(update={"folder": str(tmp_path / ("." if there else "elsewhere"))})
    error = far_training.train(gone)
    assert isinstance(error, UserError)
    assert os.uname().nodename in str(error)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"executor": "rays"}, "expected local, ray, ray:ADDRESS or slurm"),
        ({"executor": "slurm:x"}, "expected local, ray, ray:ADDRESS or slurm"),
        ({"worker_cpus": 2}, "--worker-cpus is for --executor ray and slurm"),
        ({"worker_gpus": 1}, "--worker-gpus is for --executor ray and slurm"),
    ],
)
def test_flags_that_do_not_fit(given: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Placement(**given)


def test_one_run_is_trained_here() -> None:
    of_one_run(Placement())
    with pytest.raises(UserError, match="--executor ray: one run is trained by this process"):
        of_one_run(Placement(executor="ray"))
    assert Config.model_fields.keys().isdisjoint(Placement.model_fields)  # no part of a run's identity
