"""A disk that becomes full, and a root that may only be read: `pytest -m slow` and this file, as a user who may mount.

Each test is a shell script in a mount namespace of its own: what it mounts is seen by its processes alone and ends with them.
"""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import kerascnn.layers  # noqa: F401 - best.keras names its classes
from kerascnn.runs import Run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
FIT = (
    "fit --arch resnet20 --width 0.25 --blocks 1 1 1 --fraction 0.1 --batch-size 16 --checkpoint-every 5 "
    "--dtype float32 --warmup 0 --no-export"
)
LONG, SHORT = f"{FIT} --run run --epochs 30", f"{FIT} --run run --epochs 1"
EXACT = ("epoch", "lr", "loss", "accuracy", "val_loss", "val_accuracy")
# Fills a disk, command by command, and says how each one ended; the runs lie on a tmpfs of 64 MB.
FULL = """
k() {
    "$PYTHON" -m kerascnn.$1 "${@:2}" > stdout 2> stderr
    echo "$? $(grep -c ^kerascnn: stderr) $(wc -l < stderr) $(cat stderr)" >> "$OUT/codes"
}
fill() { cat /dev/zero > full/filler 2> /dev/null; }
mkdir full && mount -t tmpfs -o size=64m tmpfs full
k $FIT --runs-dir full &
for i in $(seq 3000); do [ "$(cat full/run/history.csv 2> /dev/null | wc -l)" -ge 3 ] && break; sleep 0.05; done
fill; wait
cp full/run/history.csv "$OUT/when-full.csv"
fill; k $FIT --runs-dir full
rm full/filler; k $FIT --runs-dir full
fill; k evaluate full/run --tta flip
k export full/run --formats savedmodel keras --exports-dir full/exports
rm full/filler; k evaluate full/run --tta flip
k export full/run --formats savedmodel keras --exports-dir full/exports
ls -A full/exports/run > "$OUT/exports"
cp -r full/run "$OUT/run"
"""
# Only a folder for the output may be written; Python and the libraries find no place for temporary files, caches and settings.
READ_ONLY = """
k() {
    "$PYTHON" -m kerascnn.$1 "${@:2}" > "$OUT/out" 2> "$OUT/err"
    echo "$? $(grep -v "^        " "$OUT/err")" >> "$OUT/codes"  # indented lines say what is under way
}
mount --bind "$OUT" "$OUT" && mount -o remount,bind,ro / || exit 99
cd /
! touch /tmp/written 2> /dev/null || exit 98
k evaluate --help
k list "$OUT/runs"
k predict "$OUT/runs/run" "$IMAGE"
export TMPDIR="$OUT/tmp" && mkdir "$TMPDIR"
k predict "$OUT/runs/run" "$IMAGE"
k evaluate "$OUT/runs/run"
k $FIT --runs-dir "$OUT/runs" --epochs 1 --run another
"""


def mounted(script: str, folder: Path, **variables: str) -> list[str]:
    """Run a script in a folder; the lines that it wrote to `codes`."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("this user may not mount")
    shown = {name: value for name, value in os.environ.items() if not name.endswith("MIN_LOG_LEVEL")}  # as for users
    shown.pop("TMPDIR", None)
    environment = {**shown, "PYTHON": sys.executable, "OUT": str(folder / "out"), **variables}
    (folder / "out").mkdir(exist_ok=True)
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return (folder / "out" / "codes").read_text().splitlines()


def trained(folder: Path, words: str) -> Run:
    command, *flags = words.split()
    module = [sys.executable, "-m", f"kerascnn.{command}"]
    subprocess.run([*module, *flags, "--runs-dir", str(folder)], check=True, capture_output=True)
    return Run(folder / "run")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_disk_that_becomes_full_stops_every_command_and_loses_nothing(tmp_path: Path) -> None:
    """75 and one message while there is no room; with room again the same commands end as if nothing had been."""
    calm = trained(tmp_path / "calm", LONG)
    first, at_once, again, *others = mounted(FULL, tmp_path, FIT=LONG)
    for said in (first, at_once, *others[:2]):
        assert said.startswith("75 1 1 kerascnn: "), said
        assert "No space left on device: make room there" in said
    assert 2 <= len(rows(tmp_path / "out" / "when-full.csv")) < 30
    assert [said.split()[0] for said in (again, *others[2:])] == ["0", "0", "0"]
    run = Run(tmp_path / "out" / "run")
    for one, other in zip(rows(run.history_file), rows(calm.history_file), strict=True):
        assert [one[name] for name in EXACT] == [other[name] for name in EXACT]
    ours, theirs = (keras.models.load_model(each.best_model, compile=False).get_weights() for each in (run, calm))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (tmp_path / "out" / "exports").read_text().split() == ["1"]
    assert [path for path in run.path.rglob("*") if "aside" in path.name] == []


def test_a_root_that_may_only_be_read(tmp_path: Path) -> None:
    """Everything works beside a place for output and one for temporary files; without the latter its variable is named."""
    (tmp_path / "out").mkdir()
    run = trained(tmp_path / "out" / "runs", SHORT)
    image = tmp_path / "image.png"
    keras.utils.save_img(image, np.zeros((28, 28, 3)))
    codes = mounted(READ_ONLY, tmp_path, FIT=FIT, IMAGE=str(image))
    assert [said.strip() for said in codes[:2]] == ["0", "0"]
    assert codes[2].startswith("2 kerascnn: there is no folder for temporary files: set TMPDIR to a writable")
    assert [said.strip() for said in codes[3:]] == ["0", "0", "0"]
    assert Run(run.path.with_name("another")).finished
