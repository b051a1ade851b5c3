"""A training on a table that a server on this machine serves, killed and started again, ends as if undisturbed."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import kerascnn.layers  # noqa: F401 - best.keras names its classes
from kerascnn.runs import Run
from tests.data.test_remote import Server

pytestmark = [pytest.mark.training, pytest.mark.slow]


def fit(folder: Path, dataset: str) -> subprocess.Popen[str]:
    flags = ["--arch", "resnet9", "--width", "0.125", "--image-size", "16", "--batch-size", "8", "--epochs", "4"]
    flags += ["--dtype", "float32", "--no-export", "--warmup", "0", "--checkpoint-every", "3", "--cache", "disk:cache"]
    command = [sys.executable, "-m", "kerascnn.fit", *flags, "--dataset", dataset, "--runs-dir", "runs", "--run", "run"]
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("etags", [True, False])
def test_killed_on_a_remote_table(tmp_path: Path, etags: bool) -> None:
    photos, rng = tmp_path / "photos", np.random.default_rng(0)
    rows = ["path,label"]
    for label, base in (("ant", 60), ("bee", 180)):
        (photos / label).mkdir(parents=True)
        for place in range(30):
            pixels = rng.integers(base - 40, base + 40, (20, 20, 3), dtype="uint8")
            Image.fromarray(pixels).save(photos / label / f"{place}.jpg")
            rows.append(f"{label}/{place}.jpg,{label}")
    (photos / "t.csv").write_text("\n".join(rows))
    server = Server(photos, etags)
    try:
        calm = fit(tmp_path / "calm", f"{server.url}/t.csv")
        _, err = calm.communicate(timeout=900)
        assert calm.returncode == 0, err
        run, kills = Run(tmp_path / "cut" / "runs" / "run"), 0
        draw = random.Random(int.from_bytes(os.urandom(4), "little"))
        while kills < 2:
            child = fit(tmp_path / "cut", f"{server.url}/t.csv")
            while child.poll() is None and not any(run.checkpoints.glob("step-*")):
                time.sleep(0.05)
            time.sleep(draw.uniform(0, 2))
            child.kill()
            child.communicate(timeout=900)
            kills += 1
        last = fit(tmp_path / "cut", f"{server.url}/t.csv")
        _, err = last.communicate(timeout=900)
        assert last.returncode == 0, err
    finally:
        server.shutdown()
        server.server_close()
    undisturbed = Run(tmp_path / "calm" / "runs" / "run")
    exact = ("epoch", "lr", "loss", "accuracy", "val_loss", "val_accuracy")
    assert [[row[k] for k in exact] for row in run.history()] == [
        [row[k] for k in exact] for row in undisturbed.history()
    ]
    ours, theirs = (
        keras.models.load_model(each.best_model, compile=False).get_weights() for each in (run, undisturbed)
    )
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
