"""fit, best.keras and the SavedModel agree on every file of a folder as people have them."""

import shlex
from pathlib import Path

import keras
import numpy as np
import pytest

import kerascnn
from kerascnn.artefacts import parity
from kerascnn.errors import DONE
from kerascnn.fit import main
from kerascnn.runs import Run
from tests.data.make_folder import make

pytestmark = pytest.mark.training


@pytest.mark.parametrize("dtype", ["float32", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)])
def test_fit_file_and_export_agree_on_every_file(tmp_path: Path, dtype: str, optional_data: Path | None) -> None:
    photos = optional_data and optional_data / "hymenoptera"
    folder = make(tmp_path / "photos", photos)  # without photos from the embedded images
    places = ["--runs-dir", str(tmp_path / "runs"), "--exports-dir", str(tmp_path / "exports"), "--run", "run"]
    small = shlex.split("--image-size 72 --arch resnet18 --blocks 1 1 1 1 --width 0.125 --epochs 1 --batch-size 16")
    assert main(["--dataset", str(folder), "--dtype", dtype, *small, *places]) == DONE
    run = Run(tmp_path / "runs" / "run")
    assert run.config().fit.monitor == "val_macro_f1"  # 10 to 1
    for split in ("val", "test"):
        kept = run.read_predictions(split)
        files = [folder / str(name) for name in kept["ids"]]
        again = kerascnn.load(run.path).predict(files)
        np.testing.assert_allclose(again, kept["probabilities"], atol=1e-5)
        exported = kerascnn.load(tmp_path / "exports" / "run").predict(files)
        np.testing.assert_allclose(exported, kept["probabilities"], atol=1e-5)
    # JPEG and PNG bytes through serving_default, in a process that has no kerascnn.
    served = [path for path in sorted(folder.rglob("*.*")) if path.suffix.lower() in (".jpg", ".jpeg", ".png")]
    model = keras.models.load_model(run.best_model, compile=False)
    found = parity.compare(tmp_path / "exports" / "run" / "1", model, files=served)
    assert found["files"].n == len(served) > 100
    assert found["files"].max_difference < 1e-5
    assert found["files"].top1 == 1
