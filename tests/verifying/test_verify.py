"""`kerascnn verify`: kills at seeded steps, first differences, damaged files, exports on this machine."""

import json
import zipfile

import keras
import numpy as np
import pytest

from kerascnn.artefacts import reference
from kerascnn.cli.screen import Screen
from kerascnn.config import Config
from kerascnn.errors import UserError
from kerascnn.runs import Run
from kerascnn.training.witness import Witness, sums
from kerascnn.verify import main
from kerascnn.verifying import artefact, certificate, damage, environments, twins, verify_config


def test_kills_are_seeded_and_before_the_end():
    assert twins.kill_steps(100, 5, 0) == twins.kill_steps(100, 5, 0)
    assert twins.kill_steps(100, 5, 0) != twins.kill_steps(100, 5, 1)
    assert twins.kill_steps(4, 3, 7) == (1, 2, 3)
    with pytest.raises(UserError, match="--kills 4: the training has 4 steps; expected fewer kills"):
        twins.kill_steps(4, 4, 0)


def test_a_run_is_trained_with_its_own_config():
    with pytest.raises(UserError, match="--epochs beside runs/a: a run is trained again with its own config"):
        verify_config.parse(["runs/a", "--epochs", "2"], prog="verify", description="")
    with pytest.raises(UserError, match="--stop-epoch: verify trains to the end"):
        verify_config.parse(["--stop-epoch", "2"], prog="verify", description="")
    asked = verify_config.parse(["runs/a", "--kills", "2", "--runs-dir", "here"], prog="verify", description="")
    assert (asked.target, asked.verify.kills) == ("runs/a", 2)


def made(folder, weights=0.0, loss=0.5, probability=0.9):
    """A run with one dense layer."""
    run = Run(folder)
    folder.mkdir()
    run.write_config(Config())
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="logits", kernel_initializer="ones")])
    model.layers[0].bias.assign([weights, 0, 0])
    model.save(run.best_model)
    run.write_history([{"epoch": 1, "loss": 0.75, "seconds": folder.stat().st_mtime}, {"epoch": 2, "loss": loss}])
    probabilities = np.array([[0.9, 0.1], [1 - probability, probability]], "float32")
    run.write_predictions("val", ids=np.array(["a", "b"]), labels=np.array([0, 1]), probabilities=probabilities)
    return run


def test_the_first_difference_is_named(tmp_path):
    calm = made(tmp_path / "calm")
    assert [part.difference for part in certificate.compare(calm, made(tmp_path / "same"))] == ["", "", ""]
    found = certificate.compare(calm, made(tmp_path / "other", weights=1e-5, loss=0.25, probability=0.8))
    assert [part.line() for part in found] == [
        "differ  weights: logits/bias first, by at most 1e-05; 1 of 2 tensors differ",
        "differ  history: epoch 2, loss: 0.5 against 0.25",
        "differ  predictions of val: b first, by 0.1; at most 0.1",
    ]


def test_the_first_step_is_named(tmp_path):
    calm, cut = Run(tmp_path / "calm"), Run(tmp_path / "cut")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="logits")])
    for run in (calm, cut):
        run.path.mkdir()
        for start in (0, 2):  # a resumed training does step 3 again
            watch = Witness(start, run.path / "trace", None)
            watch.set_model(model)
            model.set_weights([np.zeros((2, 1)), np.zeros(1)])
            for batch in range(2):
                model.layers[0].bias.assign_add([1 + (run is cut and start + batch == 3) * 1e-6])
                watch.on_train_batch_end(batch)
    assert sorted(sums(calm.path / "trace")) == [1, 2, 3, 4]
    assert (
        certificate.of_steps(calm, cut, "trace").difference
        == f"step 4: {model.variables[1].path} first; 1 of 2 variables"
    )
    assert certificate.of_steps(calm, calm, "trace").what == "4 of 4 steps looked at, all variables"


def flip(path, place):
    """Flips one bit."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_a_flipped_bit_is_named(tmp_path):
    run = made(tmp_path / "run")
    step = run.checkpoints / "step-7"
    step.mkdir(parents=True)
    np.savez(step / "variables.npz", **{"0.0": np.arange(100.0)})
    (step / "state.json").write_text("2d3f5b7c\n{}\n")
    assert damage.damaged(run) == ["checkpoints/step-7/state.json: it fails its checksum"]
    (step / "state.json").unlink()
    assert damage.damaged(run) == []
    flip(step / "variables.npz", 300)
    with zipfile.ZipFile(run.best_model) as file:
        place = file.getinfo("model.weights.h5").header_offset + 400
    flip(run.best_model, place)
    assert [line.partition(":")[0] for line in damage.damaged(run)] == [
        "best.keras",
        "checkpoints/step-7/variables.npz",
    ]


def test_why_a_run_cannot_be_its_twin(tmp_path):
    run, twin = made(tmp_path / "run"), made(tmp_path / "twin")
    for each in (run, twin):
        each.write_data({"name": "x", "fingerprint": "f" * 64, "class_names": ["a", "b"], "image_size": 32}, [], [])
        each.write_metrics({"finished": "2026", "val": {}, "train_seconds": 1.0})
        each.add_environment({"tensorflow": "2.21", "cpu": "one"})
    assert environments.why_not(run, twin) == ""
    run.add_environment({"tensorflow": "2.21", "cpu": "another"})
    assert environments.why_not(run, twin) == "CPU was another before, now one"


def test_generated_images_are_those_of_any_machine():
    images = reference.images(28)
    assert (images.shape, images.dtype) == ((16, 28, 28, 3), np.float32)
    assert images[0, 0, 0].tolist() == images[0, 3, 3].tolist() == [217.0, 163.0, 130.0]
    assert int(images.sum()) == int(reference.images(28).sum())


def test_what_is_no_export_is_said(tmp_path):
    with pytest.raises(
        UserError, match=r"is neither a run nor an export of kerascnn: expected config.toml or parity.json"
    ):
        artefact.check(tmp_path, Screen())
    assert main([str(tmp_path / "none")]) == 2


SMALL = ("--arch", "resnet20", "--width", "0.25", "--fraction", "0.05", "--batch-size", "16", "--epochs", "2")


@pytest.mark.slow
@pytest.mark.training
@pytest.mark.parametrize("device", ["cpu", "cpu:2"])
@pytest.mark.parametrize("arch", ["resnet20", "inception_small"])
def test_twenty_kills_change_nothing(device, arch, tmp_path, capsys):
    file = tmp_path / "certificate.json"
    flags = ["--devices", device, "--kills", "5", "--certificate", str(file), *SMALL[2:], "--arch", arch]
    assert main(["--steps-per-log", "1", *flags]) == 0
    kept = json.loads(file.read_text())
    assert kept["passed"]
    assert len(kept["kills"]) == 5
    assert "differ" not in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.training
def test_a_run_an_export_and_their_damage(tmp_path, capsys):
    from kerascnn.fit import main as fit

    where = ("--runs-dir", str(tmp_path / "runs"), "--exports-dir", str(tmp_path / "exports"))
    assert fit([*SMALL, *where, "--run", "r"]) == 0
    run = Run(tmp_path / "runs/r")
    assert main([str(run.path), "--kills", "1"]) == 0
    assert "r and its twin:\n    equal   weights" in capsys.readouterr().out
    text = run.history_file.read_text()
    run.history_file.write_text(text.replace("0.", "1.", 1))
    assert main([str(run.path), "--kills", "1"]) == 1
    assert "r and its twin: history: epoch 1" in capsys.readouterr().err
    version = tmp_path / "exports/r/1"
    assert main([str(version)]) == 0
    assert "same    savedmodel" in capsys.readouterr().out
    flip(version / "variables/variables.data-00000-of-00001", 5000)
    assert main([str(version)]) == 1
    assert "variables.data-00000-of-00001 has sha256" in capsys.readouterr().err
