"""Starting from weights that were learned before, on a tiny resnet20 and real images."""

import os
import signal
import threading
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from kerascnn import cli, data, distribute, fit, models, training
from kerascnn.config import Config, UserError
from kerascnn.data import Splits
from kerascnn.runs import Run, identity
from kerascnn.training import finetune

# 2.5 % of the embedded images: 134 to train on, 9 steps of 16.
BASE = Config(
    data={"fraction": 0.025},
    model={"arch": "resnet20", "width": 0.25},
    optim={"warmup": 0, "lr": 0.05},
    fit={"epochs": 3, "batch_size": 16},
    devices={"dtype": "float32"},
)


@pytest.fixture(scope="module")
def splits() -> Splits:
    return data.load(BASE.data)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, splits: Splits) -> Path:
    """A finished run of one epoch, whose weights others start from."""
    config = training.resolve(BASE.replace(fit={"epochs": 1, "seed": 7}), splits)
    run = Run(tmp_path_factory.mktemp("source") / "learned")
    training.train(config, run, splits=splits, draw=False)
    return run.path


def resolved(splits: Splits, source: Path, **sections) -> Config:
    start = BASE.replace(model={"weights": str(source)})
    return training.resolve(start.replace(**sections), splits)


def train(folder: Path, splits: Splits, config: Config, until: int | None = None) -> Run:
    run = Run(folder)
    training.train(config, run, splits=splits, until=until, draw=False)
    return run


def network(run: Path) -> keras.Model:
    return keras.models.load_model(Run(run).best_model, compile=False)


def differs(first: keras.Model, second: keras.Model) -> set[str]:
    """Top-level layers whose weights differ, moving statistics included."""
    pairs = zip(first.weights, second.weights, strict=True)
    return {a.path.split("/")[0] for a, b in pairs if not np.array_equal(a.numpy(), b.numpy())}


def test_the_head_alone_leaves_the_body_and_its_statistics(tmp_path, splits, source) -> None:
    config = resolved(splits, source, fit={"head_epochs": 1, "epochs": 2})
    run = train(tmp_path / "run", splits, config, until=1)
    assert differs(network(source), network(run.path)) == {"logits"}
    train(tmp_path / "run", splits, config)
    assert len(run.history()) == 2


def test_frozen_stages_stay_with_their_statistics(tmp_path, splits, source) -> None:
    run = train(tmp_path / "run", splits, resolved(splits, source, model={"freeze": 2}, fit={"epochs": 1}))
    changed = differs(network(source), network(run.path))
    assert changed == {f"stage3_block{i}" for i in (1, 2, 3)} | {"logits"}
    assert all(layer.trainable for layer in network(run.path).layers), "whoever loads the file may train all of it"


def test_more_stages_than_there_are(tmp_path, splits, source) -> None:
    with pytest.raises(UserError, match="--freeze 4: resnet20 has 3 stages"):
        train(tmp_path / "run", splits, resolved(splits, source, model={"freeze": 4}))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_body_learns_at_a_fraction_of_the_rate(splits, optimizer) -> None:
    """A step at body_lr f and rate r moves the body as one at rate f r, and the head as one at r: exactly."""
    plan = distribute.setup(BASE.devices, 16)
    images, labels = splits.train.source.fetch(range(16)), np.eye(10, dtype="float32")[splits.train.labels[:16]]

    def after_a_step(lr: float, body_lr: float) -> dict[str, np.ndarray]:
        optim = {"optimizer": optimizer, "lr": lr, "body_lr": body_lr, "weight_decay": 0.1, "schedule": "constant"}
        config = training.resolve(BASE, splits).replace(optim=optim)
        model = training.build_and_compile(config, splits, plan)
        model.train_on_batch(np.asarray(images), labels)
        return {v.path: v.numpy() for v in model.trainable_variables}

    slowed, low, high = after_a_step(0.05, 0.125), after_a_step(0.00625, 1.0), after_a_step(0.05, 1.0)
    for path, value in slowed.items():
        np.testing.assert_array_equal(value, (high if path.startswith("logits/") else low)[path], err_msg=path)
    assert any(not np.array_equal(low[path], high[path]) for path in low)


@pytest.mark.parametrize("devices", ["cpu", pytest.param("cpu:2", marks=pytest.mark.slow)])
@pytest.mark.parametrize("step", [4, pytest.param(9, marks=pytest.mark.slow), pytest.param(13, marks=pytest.mark.slow)])
def test_stopped_in_either_part_it_ends_as_undisturbed(tmp_path, splits, source, devices, step) -> None:
    """Averaged weights, frozen stage, slow body: a run that is stopped at `step` of 27 (9 with the head alone)."""
    config = resolved(
        splits,
        source,
        model={"freeze": 1, "drop_path": 0.3},
        optim={"body_lr": 0.2, "ema": 0.9},
        fit={"head_epochs": 1, "checkpoint_every": 1},
        devices={"devices": devices},
    )
    whole = train(tmp_path / "whole", splits, config)

    def kill() -> None:
        while not (run.checkpoints / f"step-{step}").exists():
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGTERM)

    run = Run(tmp_path / "stopped")
    watcher = threading.Thread(target=kill)
    watcher.start()
    with pytest.raises(cli.Stopped):
        train(run.path, splits, config)
    watcher.join()
    train(run.path, splits, config)
    assert not differs(network(whole.path), network(run.path))
    columns = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "lr")
    assert [[row[c] for c in columns] for row in run.history()] == [
        [row[c] for c in columns] for row in whole.history()
    ]


def test_a_run_is_named_by_what_the_weights_are_not_where(tmp_path, splits, source) -> None:
    copy = tmp_path / "elsewhere.keras"
    copy.write_bytes(Run(source).best_model.read_bytes())
    first, second = resolved(splits, source), resolved(splits, copy)
    assert identity(first, "data") == identity(second, "data")
    assert identity(first, "data") != identity(training.resolve(BASE, splits), "data")


def test_a_changed_file_is_refused(tmp_path, splits, source) -> None:
    copy = tmp_path / "copy.keras"
    copy.write_bytes(Run(source).best_model.read_bytes())
    config = resolved(splits, copy)
    copy.write_bytes(copy.read_bytes() + b" ")
    with pytest.raises(UserError, match="has changed"):
        training.resolve(config, splits)
    copy.unlink()
    assert training.resolve(config, splits).model.weights_sha256 == config.model.weights_sha256


def test_another_number_of_classes_gets_a_fresh_head(splits, source) -> None:
    config = resolved(splits, source)
    fresh = models.build("resnet20", (32, 32, 3), 3, width=0.25)
    lines = finetune.load(fresh, config)
    assert "head: the file's 10 classes are replaced by a fresh head for 3" in lines
    learned = {v.path: v.numpy() for v in network(source).weights}
    equal = {v.path for v in fresh.weights if np.array_equal(v.numpy(), learned[v.path])}
    assert equal == {v.path for v in fresh.weights if not v.path.startswith("logits/")}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--freeze", "1"), "--freeze: nothing was learned before"),
        (("--config", "finetune"), "--head-epochs --body-lr: nothing was learned before"),
        (("--weights", "nowhere.pth"), "there is no file nowhere.pth"),
        (
            ("--weights", "SOURCE", "--head-epochs", "3", "--epochs", "3"),
            "head-epochs (3) must be fewer than epochs (3)",
        ),
        (("--weights", "SOURCE", "--arch", "resnet32", "--width", "0.25"), "these are weights of resnet20"),
        (("--weights", "SOURCE"), "another stem"),
        (("--weights", "EVIL"), "refused"),
        (("--weights", "imagenet", "--arch", "resnet18"), "--weights FILE"),
        (("--weights", "imagenet"), "nobody publishes weights that compute resnet20"),
    ],
)
def test_mistakes(tmp_path, source, capsys, flags, message) -> None:
    evil = tmp_path / "evil.pth"
    evil.write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    words = [{"SOURCE": str(source), "EVIL": str(evil)}.get(word, word) for word in flags]
    code = fit.main([*words, "--fraction", "0.025", "--runs-dir", str(tmp_path / "runs"), "--no-export"])
    error = capsys.readouterr().err
    assert code == cli.USER_ERROR, error
    assert message in error
    assert "Traceback" not in error


def test_few_images_from_scratch_are_told_of_fine_tuning(splits, source) -> None:
    assert "--config finetune" in str(finetune.advice(splits, training.resolve(BASE, splits)))
    assert finetune.advice(splits, resolved(splits, source)) is None


@pytest.mark.parametrize(("trained_at", "size", "stem"), [(32, 32, "auto"), (32, 128, "small"), (128, 32, "large")])
def test_the_stem_is_the_one_that_the_weights_have(tmp_path, trained_at, size, stem) -> None:
    run = Run(tmp_path / "learned")
    run.path.mkdir()
    run.write_config(BASE.replace(data={"image_size": trained_at}))
    run.best_model.write_bytes(b"weights")
    run.write_metrics({})
    config = finetune.resolve(BASE.replace(model={"weights": str(run.path)}), size)
    assert config.model.stem == stem
