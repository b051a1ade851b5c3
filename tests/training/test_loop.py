"""The one way to train, on a tiny resnet20 and real images: exact resume, exact scores on replicas, what ends a run."""

import dataclasses
import os
import re
import signal
import threading
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.plugins.hparams import plugin_data_pb2

from kerascnn import data, models, training
from kerascnn.artefacts import exporting
from kerascnn.cli.recipes import load_recipe, load_toml
from kerascnn.cli.screen import Screen
from kerascnn.config import Config, Devices
from kerascnn.data import Splits, pipeline
from kerascnn.devices.plan import setup
from kerascnn.errors import Stopped, TrainingFailed, UserError
from kerascnn.models.auxiliary import WithAuxiliaryHeads
from kerascnn.runs import Run, prepare
from kerascnn.scoring.inference import predict
from kerascnn.tracking.trackers import Trackers
from kerascnn.training import assembly, loop
from kerascnn.training.loop import Training

pytestmark = pytest.mark.training

# 2.5 % of the embedded images: 134 to train on, 9 steps of 16.
BASE = Config(
    data={"fraction": 0.025},
    model={"arch": "resnet20", "width": 0.25, "blocks": (1, 1, 1)},
    optim={"optimizer": "sgd", "warmup": 0},  # muon, which auto means, takes longer to trace
    fit={"epochs": 3, "batch_size": 16},
    devices={"dtype": "float32"},
)


@pytest.fixture(scope="module")
def splits() -> Splits:
    """The embedded images, 65 of them val: the last batch of 16 has one image, and would leave a replica empty."""
    whole = data.load(BASE.data)
    val = dataclasses.replace(whole.val, indices=whole.val.indices[:65], labels=whole.val.labels[:65])
    test = dataclasses.replace(whole.test, indices=whole.test.indices[:200], labels=whole.test.labels[:200])
    return dataclasses.replace(whole, val=val, test=test)


def train(
    folder: Path, splits: Splits, *, until: int | None = None, draw: bool = False, read_test: bool = False, **sections
) -> Run:
    config = BASE.replace(**{"logging": {"runs_dir": folder, "run": "run"}, **sections})
    config = training.resolve(config, splits)
    run = prepare(config, splits.fingerprint, splits.name)
    training.train(config, run, splits=splits, until=until, draw=draw, read_test=read_test)
    return run


def weights(run: Run) -> list[np.ndarray]:
    return keras.models.load_model(run.best_model, compile=False).get_weights()


def hparams(run: Run) -> dict[str, float | str]:
    """A run's row of TensorBoard's HParams table, without its scores."""
    (path,) = (run.tensorboard / "hparams").glob("*tfevents*")
    for record in tf.data.TFRecordDataset(str(path)):
        for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value:
            found = plugin_data_pb2.HParamsPluginData.FromString(value.metadata.plugin_data.content)
            if found.HasField("session_start_info"):
                row = found.session_start_info.hparams
                return {name: getattr(one, one.WhichOneof("kind")) for name, one in row.items()}
    raise AssertionError("no row")


EXACT = ("epoch", "lr", "loss", "accuracy", "val_loss", "val_accuracy", "val_macro_f1", "val_balanced_accuracy")


def scores(run: Run) -> list[list[float]]:
    return [[row[name] for name in EXACT] for row in run.history()]


@pytest.mark.parametrize("devices", ["cpu", pytest.param("cpu:2", marks=pytest.mark.slow)])
def test_a_signal_in_mid_epoch_and_the_same_call_again_end_as_undisturbed(tmp_path, splits, devices) -> None:
    restless = {
        "model": {"drop_path": 0.3, "dropout": 0.2},
        "devices": {"devices": devices},
        "optim": {"optimizer": "auto", "ema": 0.9},
    }
    calm = train(tmp_path / "calm", splits, read_test=True, **restless)

    checkpoints = tmp_path / "cut" / "run" / "checkpoints"

    def interrupt() -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not (checkpoints / "step-11").exists():
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # one that comes too late must not end the tests
    watcher = threading.Thread(target=interrupt)
    watcher.start()
    try:
        with pytest.raises(Stopped) as raised:
            train(tmp_path / "cut", splits, fit={"checkpoint_every": 1}, read_test=True, **restless)
    finally:
        watcher.join()
        signal.signal(signal.SIGTERM, before)
    assert raised.value.code == 75
    assert "is kept" in str(raised.value)
    cut = train(tmp_path / "cut", splits, read_test=True, **restless)

    assert "resuming after step" in cut.log_file.read_text()
    assert [row["epoch"] for row in cut.history()] == [1, 2, 3]
    assert scores(cut) == scores(calm)
    for one, other in zip(weights(cut), weights(calm), strict=True):
        np.testing.assert_array_equal(one, other)
    for split in ("val", "test"):
        assert cut.metrics()[split] == calm.metrics()[split]


@pytest.mark.parametrize("dtype", ["float32", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)])
def test_replicas_score_what_the_saved_model_scores_on_one_device(tmp_path, splits, dtype) -> None:
    run = train(tmp_path, splits, devices={"devices": "cpu:2", "dtype": dtype}, fit={"epochs": 2})
    best = run.history()[run.metrics()["best_epoch"] - 1]
    keras.config.set_dtype_policy(dtype)
    network = models.build("resnet20", (32, 32, 3), 10, width=0.25, blocks=(1, 1, 1))
    network.set_weights(weights(run))
    batches = pipeline.scoring(splits.val, splits, 16)
    found = predict(network, batches, splits.val.labels, splits.val.ids())
    assert len(found) == 65
    true = found.probabilities[np.arange(65), found.labels].astype("float64")
    assert best["val_loss"] == pytest.approx(-np.log(true).mean(), abs=1e-6)
    assert best["val_accuracy"] == pytest.approx(found.correct.mean(), abs=1e-6)
    if dtype == "float32":
        assert run.metrics()["val"]["accuracy"]["value"] == pytest.approx(best["val_accuracy"], abs=1e-6)


def test_replicas_hold_equal_weights_and_statistics(splits) -> None:
    config = training.resolve(BASE.replace(devices={"devices": "cpu:2"}), splits)
    plan = setup(config.devices, 16)
    model = training.build_and_compile(config, splits, plan)
    stream = pipeline.training(splits, augment=config.augment, seed=0, batch_size=16)
    model.fit(stream, steps_per_epoch=4, verbose=0, shuffle=False)
    assert any("moving_variance" in v.path for v in model.variables)
    for variable in model.weights:
        one, other = variable.value.values
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=variable.path)


@pytest.mark.slow
def test_until_ends_early_and_the_next_call_goes_on_with_the_same_schedule(tmp_path, splits) -> None:
    whole = train(tmp_path / "whole", splits)
    run = train(tmp_path / "rungs", splits, until=1)
    assert not run.finished
    assert len(run.history()) == 1
    run = train(tmp_path / "rungs", splits)
    assert run.finished
    assert scores(run) == scores(whole)


@pytest.mark.slow
def test_small_images_come_first_and_a_pause_changes_nothing(tmp_path, splits) -> None:
    """Stopped in the small part and after it, a run ends as the undisturbed one; what it saves takes the whole images."""
    sections = {
        "model": {"arch": "resnet9", "width": 0.125, "blocks": None},
        "fit": {"epochs": 3, "batch_size": 16, "low_res_epochs": 2},
    }
    once = train(tmp_path / "once", splits, **sections)
    for until in (1, 2, None):
        paused = train(tmp_path / "paused", splits, until=until, **sections)
    assert scores(paused) == scores(once)
    for one, other in zip(weights(paused), weights(once), strict=True):
        np.testing.assert_array_equal(one, other)
    assert re.findall(r"size    (\d+) px", once.log_file.read_text()) == ["24", "32"]
    assert keras.models.load_model(once.best_model, compile=False).input_shape == (None, 32, 32, 3)


@pytest.mark.parametrize(("size", "stem"), [(32, "auto"), (80, "large"), (96, "auto"), (104, "auto")])
def test_small_images_are_trained_in_the_same_network(splits, size, stem) -> None:
    """From 65 to 95 px the small ones, on their own, would get the small stem."""
    config = BASE.replace(model={"arch": "resnet18", "width": 0.125, "blocks": None}, fit={"low_res_epochs": 1})
    whole = dataclasses.replace(splits, image_size=size)
    config = training.resolve(config, whole)
    assert config.model.stem == stem
    sides = (whole, assembly.small(whole))
    shapes = [
        [weight.shape for weight in assembly.network(config.model, side.image_size, 10).weights] for side in sides
    ]
    assert shapes[0] == shapes[1]


def test_a_finished_run_is_not_trained_again(tmp_path, splits) -> None:
    run = train(tmp_path, splits, fit={"epochs": 1})
    before = run.best_model.stat().st_mtime_ns
    train(tmp_path, splits, fit={"epochs": 1})
    assert run.best_model.stat().st_mtime_ns == before


def test_nan_names_its_step_and_keeps_the_last_good_checkpoint(tmp_path, splits) -> None:
    with pytest.raises(TrainingFailed, match=r"the loss is (nan|inf) at step \d+ \(epoch \d\)"):
        train(tmp_path, splits, optim={"lr": 1e30, "schedule": "constant"}, fit={"checkpoint_every": 1})
    kept = np.load(max((tmp_path / "run" / "checkpoints").glob("step-*/variables.npz")), allow_pickle=False)
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert all(array.shape is not None for array in kept.values())
    assert "the loss is" in Run(tmp_path / "run").failure_file.read_text(), "kerascnn list calls it failed"
    train(tmp_path, splits, optim={"lr": 1e30, "schedule": "constant"}, fit={"checkpoint_every": 1}, until=0)
    assert not Run(tmp_path / "run").failure_file.exists(), "a start that does better clears it"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_not_taken_for_a_lack_of_memory(tmp_path, splits, monkeypatch) -> None:
    """TensorFlow calls both exhausted; a search would note the second as the candidate's own failure."""
    monkeypatch.setattr(loop.Training, "go", lambda *_: tf.io.write_file("/dev/full", "curves"))
    with pytest.raises(OSError, match="No space left"):
        train(tmp_path, splits)


def test_early_stop_ends_and_scores(tmp_path, splits) -> None:
    # A learning rate of almost nothing: no epoch betters the first.
    run = train(tmp_path, splits, fit={"epochs": 5, "patience": 1}, optim={"lr": 1e-12, "schedule": "constant"})
    metrics = run.metrics()
    assert metrics["epochs"] == metrics["best_epoch"] + 1 < 5


def test_without_val_the_last_epoch_is_kept(tmp_path, splits) -> None:
    nobody = dataclasses.replace(splits.val, indices=splits.val.indices[:0], labels=splits.val.labels[:0])
    run = train(tmp_path, dataclasses.replace(splits, val=nobody), fit={"epochs": 2})
    assert run.metrics()["best_epoch"] == 2
    assert "val" not in run.metrics()
    assert "val_loss" not in run.history()[0]


def test_averaged_weights_are_what_val_judges_and_best_keras_holds(tmp_path, splits) -> None:
    run = train(tmp_path, splits, optim={"ema": 0.8}, fit={"epochs": 2})
    row = run.history()[run.metrics()["best_epoch"] - 1]
    assert run.metrics()["val"]["loss"]["value"] == pytest.approx(row["val_loss"], abs=1e-5)


def test_imbalance_makes_val_choose_by_macro_f1(splits) -> None:
    keep = np.flatnonzero((splits.train.labels != 3) | (np.arange(len(splits.train)) % 5 == 0))
    rare = dataclasses.replace(splits.train, indices=splits.train.indices[keep], labels=splits.train.labels[keep])
    assert training.resolve(BASE, dataclasses.replace(splits, train=rare)).fit.monitor == "val_macro_f1"
    assert training.resolve(BASE, splits).fit.monitor == "val_accuracy"


def test_balanced_weights_are_finite_where_train_lacks_a_class(tmp_path, splits) -> None:
    there = splits.train.labels != 3
    train = dataclasses.replace(splits.train, indices=splits.train.indices[there], labels=splits.train.labels[there])
    lacking = dataclasses.replace(splits, train=train)
    config = training.resolve(BASE.replace(optim={"class_weights": "balanced"}), lacking)
    plan = setup(config.devices, 16)
    begun = Training(config, Run(tmp_path), lacking, plan, Screen(), draw=False, read_test=False, trackers=Trackers())
    _, answers, weights = next(iter(begun.batches.training(0)))
    assert np.isfinite(weights).all()
    assert np.min(weights) > 0
    assert 3 not in np.argmax(answers, axis=1)


def test_families_resolve_to_the_concrete_name(splits) -> None:
    assert (
        training.resolve(BASE.replace(model={"arch": "inception", "blocks": None}), splits).model.arch
        == "inception_small"
    )
    with pytest.raises(UserError, match="resnet20"):
        training.resolve(BASE.replace(model={"arch": "resnet21"}), splits)


def test_auxiliary_heads_count_in_the_loss_and_nowhere_else(splits) -> None:
    network = models.build("googlenet", (64, 64, 3), 10, width=0.125)
    heads = models.auxiliary_heads("googlenet", network, 10, width=0.125)
    model = WithAuxiliaryHeads(network, heads)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, weighted_metrics=["accuracy"], run_eagerly=True)  # tracing so many layers takes longer
    images, answers = np.zeros((4, 64, 64, 3), "uint8"), tf.one_hot([0, 1, 2, 3], 10)
    plain = keras.losses.CategoricalCrossentropy(from_logits=True)(answers, network(images, training=False))
    scored = model.evaluate(images, answers, batch_size=4, verbose=0, return_dict=True)
    assert scored["loss"] == pytest.approx(float(plain), abs=1e-5)
    trained = model.train_on_batch(images, answers, return_dict=True)
    assert trained["aux_loss"] > 0
    assert [head.weight for head in heads.values()] == [0.3, 0.3]


def test_auxiliary_loss_is_the_mean_over_replicas() -> None:
    images, answers = np.random.default_rng(0).normal(size=(8, 4)).astype("float32"), np.eye(10)[:8]
    found = []
    for devices in ("cpu", "cpu:2"):
        plan = setup(Devices(devices=devices, dtype="float32"), 8)
        keras.utils.set_random_seed(0)
        with plan.scope():
            inputs = keras.Input((4,))
            logits, head = (keras.layers.Dense(10)(inputs) for _ in range(2))
            model = WithAuxiliaryHeads(keras.Model(inputs, logits), {"head": models.AuxiliaryOutput(head, 0.3)})
            model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True))
        logs = model.fit(images, answers, batch_size=8, verbose=0).history
        found.append((logs["loss"][0], logs["aux_loss"][0]))
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_without_auxiliary_heads_a_step_ends_elsewhere() -> None:
    """Equal at the start; after one step the stages differ that the heads' losses reach."""
    images, answers = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), "uint8"), np.eye(10)[:4]
    ends = []
    for aux_weight in (None, 0.0):
        keras.utils.set_random_seed(0)
        section = Config(model={"arch": "googlenet", "width": 0.125, "aux_weight": aux_weight}).model
        model = assembly.with_heads(section, 64, 10)
        network = training.network_of(model)
        start = network.get_weights()
        model.compile(
            keras.optimizers.SGD(0.1), keras.losses.CategoricalCrossentropy(from_logits=True), run_eagerly=True
        )
        logs = model.train_on_batch(images, answers, return_dict=True)
        ends.append((start, {v.path: v.numpy() for v in network.trainable_weights}))
        assert ("aux_loss" in logs) == (aux_weight is None)
    for one, other in zip(ends[0][0], ends[1][0], strict=True):
        np.testing.assert_array_equal(one, other)
    differ = {path.split("/")[0] for path, value in ends[0][1].items() if not np.array_equal(value, ends[1][1][path])}
    assert {"stem_1", "stage2_block1"} <= differ
    assert not [name for name in differ if name.startswith("stage3") or name == "logits"], "behind the last head"


def test_everything_a_run_promises_is_there(tmp_path, splits) -> None:
    with pytest.raises(UserError, match="stage9"):  # a typo that only the network finds: the name stays free
        train(tmp_path, splits, model={"filters": {"stage9": 8}})
    assert (tmp_path / "run" / "config.toml").exists()
    run = train(tmp_path, splits, fit={"epochs": 1}, optim={"optimizer": "auto"}, draw=True, read_test=True)
    names = {str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file()}
    assert {
        "config.toml",
        "environment.json",
        "data.json",
        "split.csv",
        "skipped.csv",
        "history.csv",
        "metrics.json",
        "best.keras",
        "log.txt",
        "predictions/val.npz",
        "predictions/test.npz",
        "plots/first_batch.png",
        "plots/val_predictions.png",
        "plots/val_worst_mistakes.png",
        "plots/val_confusion_matrix.png",
        "plots/curves.png",
    } <= names
    assert not [name for name in names if "aside" in name]
    assert load_recipe(run.path).fit.epochs == 1
    used = {"lr": 0.1, "weight_decay": 0.05, "image_size": 32}  # Muon's, which auto means here
    assert load_toml(run.config_file)["resolved"] == used
    assert {key: hparams(run)[key] for key in used} == pytest.approx(used)
    test = run.metrics()["test"]["accuracy"]
    assert test["low"] <= test["value"] <= test["high"]
    assert test["n"] == 200
    kept = run.read_predictions("test")
    assert kept["probabilities"].sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert (kept["probabilities"].argmax(axis=1) == kept["labels"]).mean() == pytest.approx(test["value"])
    made = exporting.export(run, tmp_path / "exports", splits=splits)
    assert made.version == tmp_path / "exports" / "run" / "1"
    assert exporting.export(run, tmp_path / "exports", splits=splits) == made._replace(reused=True)
