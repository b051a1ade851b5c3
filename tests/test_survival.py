"""Kill it anywhere, run the same command again, get the same model: with real processes and real signals."""

import io
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import kerascnn.layers  # noqa: F401 - best.keras names its classes
from kerascnn.cli.screen import Screen
from kerascnn.config import Config
from kerascnn.data.embedded import FILE
from kerascnn.errors import USER_ERROR
from kerascnn.fit import main
from kerascnn.runs import Run
from kerascnn.studies.executor import Slot
from kerascnn.studies.executors.local import LocalExecutor
from tests.data import make_shards

pytestmark = pytest.mark.training

SMALL = [
    "--arch",
    "resnet20",
    "--width",
    "0.25",
    "--fraction",
    "0.1",
    "--batch-size",
    "16",
    "--dtype",
    "float32",
    "--no-export",
]
EXACT = ("epoch", "lr", "loss", "accuracy", "val_loss", "val_accuracy", "val_macro_f1", "val_balanced_accuracy")


def fit(folder: Path, *flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "kerascnn.fit", *SMALL, "--runs-dir", str(folder), "--run", "run", *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(child: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = child.communicate(timeout=300)
    return child.returncode, out, err


def begun(run: Run, child: subprocess.Popen[str]) -> None:
    """Wait until training is under way."""
    while child.poll() is None and not (
        run.log_file.exists() and "epoch     loss" in run.log_file.read_text().split("run  ")[-1]
    ):
        if any(run.checkpoints.glob("step-*")):
            return
        time.sleep(0.05)


def points(run: Run) -> Counter:
    """How often each (file's folder, tag, step) stands in the event files."""
    found: Counter = Counter()
    for path in run.tensorboard.rglob("events.out.tfevents.*"):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                if value.tag.startswith(("epoch_", "step_")):
                    found[path.parent.name, value.tag, event.step] += 1
    return found


def same(run: Run, calm: Run) -> None:
    rows, expected = run.history(), calm.history()
    assert [[row[name] for name in EXACT] for row in rows] == [[row[name] for name in EXACT] for row in expected]
    ours, theirs = (keras.models.load_model(each.best_model, compile=False).get_weights() for each in (run, calm))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
    count = points(run)
    assert set(count.values()) == {1}, "a step stands twice in the event files"
    epochs = {step for _, tag, step in count if tag == "epoch_loss"}
    assert len(epochs) == len(rows)


def shards(folder: Path) -> list[str]:
    """The embedded images in three tar files, which are read at random."""
    with np.load(FILE) as arrays:
        pixels, labels = arrays["x_train"], arrays["y_train"].tolist()
    rows = []
    for place, label in enumerate(labels):
        out = io.BytesIO()
        Image.fromarray(pixels[place]).save(out, "PNG")
        rows.append((f"{place:04d}.png", out.getvalue(), label))
    for part in range(3):
        make_shards.tar(folder / f"{part}.tar", rows[part::3])
    return ["--dataset", f"wds:{folder}/*.tar", "--image-size", "32", "--cache", "off", "--devices", "cpu"]


@pytest.mark.slow
@pytest.mark.parametrize("where", ["cpu", "cpu:2", "shards"])
def test_killed_five_times_and_stopped_once_ends_as_undisturbed(tmp_path: Path, where: str) -> None:
    data = shards(tmp_path) if where == "shards" else ["--devices", where]
    flags = [*data, "--epochs", "5", "--drop-path", "0.3", "--checkpoint-every", "7"]
    code, _, err = finish(fit(tmp_path / "calm", *flags))
    assert (code, err) == (0, "")
    run = Run(tmp_path / "cut" / "run")
    rng = random.Random(int.from_bytes(os.urandom(4), "little"))
    for _ in range(5):
        child = fit(tmp_path / "cut", *flags)
        begun(run, child)
        time.sleep(rng.uniform(0, 6))
        child.kill()
        finish(child)
    child = fit(tmp_path / "cut", *flags)
    begun(run, child)
    time.sleep(3)
    child.terminate()
    code, _, err = finish(child)
    if code:  # 0: it had finished before
        assert code == 75, err
        assert "the same command continues" in err
    code, out, err = finish(fit(tmp_path / "cut", *flags))
    assert (code, err) == (0, "")
    same(run, Run(tmp_path / "calm" / "run"))
    code, out, _ = finish(fit(tmp_path / "cut", *flags))
    assert code == 0
    assert "nothing trained" in out


def test_ctrl_c_says_what_is_kept_and_a_second_process_is_turned_away(tmp_path: Path, capsys) -> None:
    run = Run(tmp_path / "run")
    child = fit(tmp_path, "--epochs", "50", "--overwrite")
    begun(run, child)
    assert main([*SMALL, "--runs-dir", str(tmp_path), "--run", "run", "--epochs", "50"]) == USER_ERROR
    assert f"in use by process {child.pid}" in capsys.readouterr().err
    while not run.history() and child.poll() is None:  # before its first step nothing could be kept
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    code, _, err = finish(child)
    assert code == 130
    assert "is kept; the same command continues from there (without --overwrite, which starts anew)" in err
    assert "Traceback" not in err
    assert not run.finished
    assert not run.config().logging.overwrite


def test_a_launched_run_says_what_it_does_and_ends_with_its_parent(tmp_path: Path, capsys) -> None:
    config = Config(
        data={"fraction": 0.1},
        model={"arch": "resnet20", "width": 0.25},
        fit={"epochs": 200, "batch_size": 16},
        logging={"runs_dir": tmp_path, "run": "run"},
    )
    run = Run(tmp_path / "run")
    run.write_config(config)
    shown = Screen(worth=0.0)
    executor, stop = LocalExecutor(phases=shown), threading.Event()
    rows = executor.train(run.path, None, Slot(), candidate=False, stop=stop, label="child")
    assert next(rows)["epoch"] == 1
    out = capsys.readouterr().out
    assert "child: starting TensorFlow ..." in out
    assert re.search(r"child: compiling the training step: [\d.]+ s\n", out)
    rows.close()  # what a killed parent does: the child's standard input closes
    with run.lock():  # nobody holds it any more
        assert len(run.history()) < 200
    assert not shown.active()
