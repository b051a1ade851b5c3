"""Trainings as jobs of Slurm: the system's own daemons on this machine, and jobs that are preempted."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from kerascnn.cli.progress import SILENT
from kerascnn.errors import UserError
from kerascnn.studies.placement import Placement, executor_of
from tests.studies import slurm_node
from tests.studies.test_local import weights
from tests.training.hosts import SMALL as HOSTS
from tests.training.hosts import Hosts

pytest.importorskip("submitit", reason="needs the extra slurm")
# fmt: off
SMALL = ["--archs", "resnet20", "inception_small", "--match", "none", "--width", "0.25", "--fraction", "0.02",
         "--image-size", "16", "--batch-size", "16", "--epochs", "4", "--seeds", "1", "--dtype", "float32", "--name", "small",
         "--checkpoint-every", "2"]
# fmt: on
MISSING = slurm_node.missing()


def test_without_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="--executor slurm: sbatch and squeue are not here"):
        executor_of(Placement(executor="slurm"), SILENT, None)
    for name in ("sbatch", "squeue"):
        (tmp_path / name).write_text(
            "#!/bin/sh\necho 'slurm_load_jobs error: Unable to contact slurm controller' >&2\nexit 1\n"
        )
        (tmp_path / name).chmod(0o755)
    with pytest.raises(UserError, match="squeue fails: slurm_load_jobs error: Unable to contact slurm controller"):
        executor_of(Placement(executor="slurm"), SILENT, None)


def compare(folder: Path, variables: dict[str, str], *words: str) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    with (folder / "said.txt").open("ab") as said:
        command = [sys.executable, "-m", "kerascnn.compare", *SMALL, *words]
        return subprocess.Popen(command, cwd=folder, stdout=said, stderr=said, env={**os.environ, **variables})


def when_saved(folder: Path, run: str, driver: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 400
    while not any(folder.glob(f"experiments/runs/{run}*/checkpoints/step-*")):
        assert driver.poll() is None
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_preempted_jobs_end_as_undisturbed(tmp_path: Path) -> None:
    """One job of the array is queued again by Slurm, the other gets submitit's signal."""
    here, there = tmp_path / "here", tmp_path / "there"
    with slurm_node.slurm(tmp_path / "slurm") as variables:

        def slurm(*command: str) -> str:
            return subprocess.run(
                command, env={**os.environ, **variables}, check=True, capture_output=True, text=True
            ).stdout

        undisturbed = compare(here, {})
        driver = compare(there, variables, "--executor", "slurm", "--workers", "2")
        when_saved(there, "resnet20", driver)
        jobs = slurm("squeue", "--me", "--noheader", "--array", "--format=%i").split()
        assert len(jobs) == 2
        assert len({job.split("_")[0] for job in jobs}) == 1, "one array"
        slurm("scontrol", "requeue", jobs[0])
        when_saved(there, "inception", driver)
        slurm("scancel", "--signal=USR2", jobs[1])
        assert driver.wait(900) == 0, (there / "said.txt").read_text()
        assert slurm("squeue", "--me", "--noheader") == ""
    assert undisturbed.wait(600) == 0
    runs = sorted(path.name for path in (here / "experiments/runs").glob("*_s0-*"))
    assert len(runs) == 2
    for run in runs:
        one, other = (folder / "experiments/runs" / run for folder in (here, there))
        assert weights(one) == weights(other)
        a, b = (np.load(folder / "predictions/test.npz")["probabilities"] for folder in (one, other))
        assert np.array_equal(a, b)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_two_tasks_train_one_network_and_a_requeued_job_continues(tmp_path: Path, monkeypatch) -> None:
    """The batch file of `examples/cluster`, with two workers on one node."""
    root = Path(__file__).resolve().parents[2]
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")  # as the batch file sets it for one core
    calm = Hosts(tmp_path / "calm", 2)
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin/kerascnn"
    command.write_text(f'#!/bin/sh\n[ "$1" = fit ] && shift\nexec {sys.executable} -m kerascnn.fit "$@"\n')
    command.chmod(0o755)
    flags = [*HOSTS, "--steps-per-log", "1"]
    with slurm_node.slurm(tmp_path / "slurm") as variables:
        environment = {**os.environ, **variables, "PYTHONPATH": str(root)}
        environment["PATH"] = f"{tmp_path / 'bin'}:{environment['PATH']}"

        def slurm(*words: str) -> str:
            return subprocess.run(
                words, env=environment, check=True, capture_output=True, text=True, cwd=tmp_path
            ).stdout

        batch = ["--nodes=1", "--ntasks-per-node=2", "--cpus-per-task=1", root / "examples/cluster/multi_host.sbatch"]
        job = slurm(
            "sbatch", "--parsable", *map(str, batch), "fashion_mnist_mini", *flags, "--checkpoint-every", "2"
        ).strip()
        run = tmp_path / "experiments/runs/run"
        log = tmp_path / f"kerascnn-hosts-{job}.log"
        until = time.monotonic() + 400
        while not (run / "checkpoints/step-2").exists():
            assert time.monotonic() < until, log.read_text() if log.exists() else "no log"
            time.sleep(0.1)
        slurm("scontrol", "requeue", job)
        while not (run / "metrics.json").exists():
            assert time.monotonic() < until + 600, log.read_text()
            time.sleep(0.5)
    said = log.read_text()
    assert "workers 2, the chief at" in said
    assert "by srun's variables" in said
    assert "resuming after step" in said
    assert calm.codes() == [0, 0], calm.said()
    assert weights(run) == weights(calm.run)
