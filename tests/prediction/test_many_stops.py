"""Processes of `kerascnn predict --output` that are killed, stopped, out of room, or several at once."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kerascnn import predict
from kerascnn.errors import DONE, INTERRUPTED, STOPPED
from kerascnn.runs import Run
from tests.data import odd_files

pytestmark = [pytest.mark.slow, pytest.mark.training, pytest.mark.timeout(1200)]

COUNT, PART = 400, 10


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many photos, some of them broken."""
    folder = tmp_path_factory.mktemp("many")
    for i in range(COUNT):
        content = odd_files.encode(odd_files.photo(30 + i % 40, 60 - i % 25), "JPEG")
        (folder / f"{i}.jpg").write_bytes(content if i % 50 else content[:-30])
    return folder


@pytest.fixture(scope="module")
def undisturbed(run: Run, many: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The joined file of one process."""
    folder = tmp_path_factory.mktemp("undisturbed") / "out"
    assert predict.main([*words(run, folder), str(many)]) == DONE
    return joined(folder)


def words(run: Run, folder: Path, *further: str) -> list[str]:
    return [str(run.path), "--output", str(folder), "--part", str(PART), "--batch-size", "4", *further]


def joined(folder: Path) -> bytes:
    assert predict.main(["--merge", str(folder)]) == DONE
    return (folder / "predictions.csv").read_bytes()


def started(argv: list[str], log: Path) -> subprocess.Popen:
    with log.open("ab") as file:
        return subprocess.Popen([sys.executable, "-m", "kerascnn.predict", *argv], stdout=file, stderr=file)


def works(process: subprocess.Popen, folder: Path) -> bool:
    """Whether a process has ended, or holds a part."""
    if process.poll() is not None:
        return True
    for lease in folder.glob("work/*/.lease/*"):
        try:
            if json.loads(lease.read_text())["process"] == process.pid:
                return True
        except (OSError, ValueError):
            continue
    return False


def wait_until_it_works(process: subprocess.Popen, folder: Path) -> None:
    while not works(process, folder):
        time.sleep(0.005)


def test_killed_processes_lose_no_row_and_repeat_none(run: Run, many: Path, undisturbed: bytes, tmp_path: Path) -> None:
    folder, rng, kills = tmp_path / "out", random.Random(0), 0
    shards = [words(run, folder, "--shard", f"{i}/2") for i in range(2)]
    left = [*shards, words(run, folder)]  # the last one takes what the others leave
    while left:
        running = [started([*argv, str(many)], tmp_path / "log") for argv in left]
        for process in running:
            wait_until_it_works(process, folder)
            if kills < 6:
                time.sleep(rng.uniform(0, 0.3))
                process.kill()
                kills += process.wait() == -signal.SIGKILL
        left = [argv for argv, process in zip(left, running, strict=True) if process.wait() != DONE]
        assert kills <= 6, (tmp_path / "log").read_text()
    assert kills >= 3
    assert not (folder / "work").exists()
    assert joined(folder) == undisturbed


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, STOPPED)])
def test_a_stop_leaves_whole_parts_and_says_how_to_go_on(
    run: Run, many: Path, undisturbed: bytes, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    folder = tmp_path / "out"
    process = started([*words(run, folder), str(many)], tmp_path / "log")
    wait_until_it_works(process, folder)
    process.send_signal(number)
    assert process.wait() == code
    said = (tmp_path / "log").read_text()
    assert f"of {COUNT // PART} parts are whole" in said
    assert f"this goes on: kerascnn predict {run.path} --output {folder}" in said
    assert [path.name for path in folder.rglob("*.aside")] == []
    assert predict.main([*words(run, folder), str(many)]) == DONE
    assert joined(folder) == undisturbed


def test_workers_share_the_parts(run: Run, many: Path, undisturbed: bytes, tmp_path: Path, capfd) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("two workers need two cores")
    assert predict.main([*words(run, tmp_path / "out", "--workers", "2"), str(many)]) == DONE
    assert f"{COUNT} images in {COUNT // PART} parts (8 could not be used" in capfd.readouterr().out
    assert joined(tmp_path / "out") == undisturbed


def test_ray_shares_the_parts(run: Run, many: Path, undisturbed: bytes, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra ray")
    argv = [*words(run, tmp_path / "out"), "--executor", "ray", "--workers", "2", "--worker-cpus", "1"]
    # Ray writes a token into the home folder.
    found = subprocess.run(
        [sys.executable, "-m", "kerascnn.predict", *argv, str(many)],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert found.returncode == DONE, found.stderr
    assert joined(tmp_path / "out") == undisturbed


def test_a_full_disk_leaves_whole_parts(run: Run, many: Path, undisturbed: bytes, tmp_path: Path) -> None:
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("no mount of its own is possible here")
    (tmp_path / "disk").mkdir()
    script = (
        "mount -t tmpfs -o size=120k none disk\n"
        f"$PREDICT --output disk/out {many} 2> full.txt; echo $? > code\n"
        "ls disk/out/parts > parts.txt; mount -o remount,size=9m disk\n"
        f"$PREDICT --output disk/out {many} && {sys.executable} -m kerascnn.predict --merge disk/out\n"
        "cp disk/out/predictions.csv ."
    )
    command = f"{sys.executable} -m kerascnn.predict {run.path} --part {PART} --batch-size 4"
    variables = {**os.environ, "PREDICT": command}
    subprocess.run(["unshare", "-rm", "sh", "-c", script], cwd=tmp_path, env=variables, check=True)
    assert int((tmp_path / "code").read_text()) == STOPPED
    said = (tmp_path / "full.txt").read_text()
    assert "No space left on device: make room there; the same command continues" in said
    assert "this goes on: kerascnn predict" in said
    parts = (tmp_path / "parts.txt").read_text().split()
    assert 0 < len(parts) < COUNT // PART
    assert (tmp_path / "predictions.csv").read_bytes() == undisturbed
