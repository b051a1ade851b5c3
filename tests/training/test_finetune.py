"""Starting from weights that were learned before, on a tiny resnet9 and real images."""

import dataclasses
import os
import signal
import sys
import threading
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from kerascnn import data, fit, models, training
from kerascnn.cli.parsing import parse_config, told
from kerascnn.cli.recipes import load_recipe
from kerascnn.config import Config
from kerascnn.data import Splits, preflight
from kerascnn.devices.plan import setup
from kerascnn.errors import USER_ERROR, Stopped, UserError
from kerascnn.models.auxiliary import WithAuxiliaryHeads
from kerascnn.runs import Run, identity
from kerascnn.training import finetune, neighbor_floor, optim

pytestmark = pytest.mark.training

# 2.5 % of the embedded images: 134 to train on, 9 steps of 16.
BASE = Config(
    data={"fraction": 0.025},
    model={"arch": "resnet9", "width": 0.125},
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
    training.train(config, run, splits=splits, draw=False, read_test=False)
    return run.path


def resolved(splits: Splits, source: Path | str, **sections) -> Config:
    start = BASE.replace(model={"weights": str(source)})
    return training.resolve(start.replace(**sections), splits)


def train(folder: Path, splits: Splits, config: Config, until: int | None = None) -> Run:
    run = Run(folder)
    training.train(config, run, splits=splits, until=until, draw=False, read_test=False)
    return run


def network(run: Path) -> keras.Model:
    return keras.models.load_model(Run(run).best_model, compile=False)


def move_head(model: keras.Model) -> None:
    kernel = model.get_layer("logits").kernel
    kernel.assign(kernel + 0.01)


def differs(first: keras.Model, second: keras.Model) -> set[str]:
    """Top-level layers whose weights differ, moving statistics included."""
    pairs = zip(first.weights, second.weights, strict=True)
    return {a.path.split("/")[0] for a, b in pairs if not np.array_equal(a.numpy(), b.numpy())}


def test_the_head_alone_then_everything_with_a_schedule_of_its_own(tmp_path, splits, source) -> None:
    """Alone the head keeps its peak, the body its weights and statistics; then comes a run of its own, warm-up included."""
    adamw = {"optimizer": "adamw", "lr": 0.01, "warmup": 1.0}
    lost = tmp_path / "lost.keras"
    lost.write_bytes(Run(source).best_model.read_bytes())
    config = resolved(splits, lost, optim=adamw, fit={"head_epochs": 1, "epochs": 3})
    run = train(tmp_path / "run", splits, config, until=1)
    assert differs(network(source), network(run.path)) == {"logits"}
    lost.unlink()  # a run that has begun has them in its checkpoints
    train(tmp_path / "run", splits, run.config())
    schedule = optim.Schedule(config.optim, 18, 9)
    rest = [float(schedule(step)) for step in (9, 18)]  # what Keras shows after an epoch is the next step's
    assert [row["lr"] for row in run.history()] == pytest.approx([0.01, *rest])
    with np.load(run.checkpoints / "step-27" / "variables.npz") as arrays:  # AdamW counts the steps of both moments
        assert [int(value) for value in arrays.values() if value.dtype.kind == "i" and value.shape == ()] == [18]


def test_a_finished_run_stands_beside_its_neighbors_without_training(tmp_path, splits, source) -> None:
    config = resolved(splits, source, fit={"epochs": 1})
    training.train(config, Run(tmp_path), splits=splits, draw=False)
    found = Run(tmp_path).metrics()["test"]
    floor = found["neighbor_floor"]
    assert floor["n"] == found["accuracy"]["n"]
    assert floor["train"] == len(splits.train)
    assert 0.3 < floor["low"] < floor["value"] < floor["high"], "chance is 0.1"
    assert "gained nothing" in neighbor_floor.line(found), "one epoch by a fresh head"


def test_more_stages_than_there_are(tmp_path, splits, source) -> None:
    with pytest.raises(UserError, match="--freeze-stages 4: resnet9 has 3 stages"):
        train(tmp_path / "run", splits, resolved(splits, source, model={"freeze_stages": 4}))


def test_the_body_is_what_learns_slower(splits, source) -> None:
    """How much slower, exactly: tests/test_optim.py."""
    config = resolved(splits, source, optim={"backbone_lr_scale": 0.125}, model={"freeze_stages": 1})
    model = training.build_and_compile(config, splits, setup(BASE.devices, 16))
    factors = {v.path.split("/")[0]: model.optimizer._factor(v) for v in model.trainable_variables}
    assert factors == {"stage2_block1": 0.125, "stage3_block1": 0.125, "logits": 1.0}


@pytest.mark.slow
@pytest.mark.parametrize("devices", ["cpu", "cpu:2"])
@pytest.mark.parametrize("step", [4, 9, 13])
def test_stopped_in_either_part_it_ends_as_undisturbed(tmp_path, splits, source, devices, step) -> None:
    """Averaged weights, frozen stage, slow body: a run that is stopped at `step` of 18 (9 with the head alone)."""
    config = resolved(
        splits,
        source,
        model={"freeze_stages": 1, "dropout": 0.3},
        optim={"backbone_lr_scale": 0.2, "ema": 0.9},
        fit={"head_epochs": 1, "epochs": 2, "checkpoint_every": 1},
        devices={"devices": devices},
    )
    whole = train(tmp_path / "whole", splits, config)
    # Frozen: moving statistics too. And whoever loads the file may train all of it.
    assert differs(network(source), network(whole.path)) == {"stage2_block1", "stage3_block1", "logits"}
    assert all(layer.trainable for layer in network(whole.path).layers)

    def kill() -> None:
        while not (run.checkpoints / f"step-{step}").exists():
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGTERM)

    run = Run(tmp_path / "stopped")
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # one that comes too late must not end the tests
    watcher = threading.Thread(target=kill)
    watcher.start()
    try:
        with pytest.raises(Stopped):
            train(run.path, splits, config)
    finally:
        watcher.join()
        signal.signal(signal.SIGTERM, before)
    train(run.path, splits, config)
    assert not differs(network(whole.path), network(run.path))
    columns = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "lr")
    assert [[row[c] for c in columns] for row in run.history()] == [
        [row[c] for c in columns] for row in whole.history()
    ]


def test_auxiliary_heads_are_heads(splits) -> None:
    network = models.build("googlenet", (64, 64, 3), 10, width=0.125)
    model = WithAuxiliaryHeads(network, models.auxiliary_heads("googlenet", network, 10, width=0.125))
    heads = finetune.heads(model)
    assert sorted(layer.name for layer in heads) == ["aux1", "aux2", "logits"]
    finetune.choose(model, network, 0, alone=heads)
    assert {v.path.split("/")[0] for v in model.trainable_variables} == {"aux1", "aux2", "logits"}
    finetune.choose(model, network, 2)
    learning = {v.path.split("/")[0].split("_")[0] for v in model.trainable_variables}
    assert learning == {"stage3", "aux1", "aux2", "logits"}


def test_a_run_is_named_by_what_the_weights_are_not_where(tmp_path, splits, source) -> None:
    copy = tmp_path / "elsewhere.keras"
    copy.write_bytes(Run(source).best_model.read_bytes())
    first, second = resolved(splits, source), resolved(splits, copy)
    assert identity(first, "data") == identity(second, "data")
    assert identity(first, "data") != identity(training.resolve(BASE, splits), "data")
    assert training.resolve(first, splits) == first


def test_saved_again_the_same_weights_are_the_same(tmp_path, source) -> None:
    again = network(source)
    again.save(tmp_path / "again.keras")
    assert (tmp_path / "again.keras").read_bytes() != Run(source).best_model.read_bytes()
    assert finetune.fingerprint(tmp_path / "again.keras") == finetune.fingerprint(Run(source).best_model)
    move_head(again)
    again.save(tmp_path / "other.keras")
    assert finetune.fingerprint(tmp_path / "other.keras") != finetune.fingerprint(tmp_path / "again.keras")


def test_changed_or_lost_weights_are_refused(tmp_path, splits, source) -> None:
    copy = tmp_path / "copy.keras"
    copy.write_bytes(Run(source).best_model.read_bytes())
    config = resolved(splits, copy)
    other = network(source)
    move_head(other)
    other.save(copy)
    with pytest.raises(UserError, match="the file now has sha256"):
        training.resolve(config, splits)
    with pytest.raises(UserError, match="has changed since this run began"):
        finetune.load(other, config.model)
    assert identity(resolved(splits, copy), "data") != identity(config, "data"), "other weights, another run"
    copy.unlink()
    with pytest.raises(UserError, match="there is no file"):
        finetune.load(other, config.model)
    with pytest.raises(UserError, match="expected 64 hex digits after #sha256=, got 'ab'"):
        resolved(splits, "x.pth#sha256=ab")


def test_a_flag_replaces_a_runs_own_weights(tmp_path, splits, source) -> None:
    run = Run(tmp_path / "run")
    run.write_config(resolved(splits, source))
    other = network(source)
    move_head(other)
    other.save(tmp_path / "other.keras")
    words = ["--config", str(run.path), "--weights", str(tmp_path / "other.keras")]
    asked = training.resolve(parse_config(words, prog="kerascnn fit", description=""), splits)
    assert asked.model.weights.startswith(str(tmp_path / "other.keras#sha256="))


def test_another_number_of_classes_gets_a_fresh_head(splits, source) -> None:
    config = resolved(splits, source)
    fresh = models.build("resnet9", (32, 32, 3), 3, width=0.125)
    lines = finetune.load(fresh, config.model)
    assert "head: the file's 10 classes are replaced by a fresh head for 3" in lines
    learned = {v.path: v.numpy() for v in network(source).weights}
    equal = {v.path for v in fresh.weights if np.array_equal(v.numpy(), learned[v.path])}
    assert equal == {v.path for v in fresh.weights if not v.path.startswith("logits/")}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--freeze-stages", "1"), "--freeze-stages: there are no pretrained weights"),
        (("--weights", "nowhere.pth"), "there is no nowhere.pth"),
        (
            ("--weights", "SOURCE", "--head-epochs", "3", "--epochs", "3"),
            "head-epochs (3) must be fewer than epochs (3)",
        ),
        (("--weights", "SOURCE", "--arch", "resnet20"), "these are weights of resnet9, not of resnet20"),
        (("--weights", "SOURCE", "--width", "0.25"), "That run was built with --width 0.125"),
        (("--weights", "SOURCE/.."), "is not a run"),
        (("--weights", "EVIL"), "refused"),
        (("--weights", "imagenet"), "there are no published weights for resnet9"),
    ],
)
def test_mistakes(tmp_path, source, capsys, flags, message) -> None:
    evil = tmp_path / "evil.pth"
    evil.write_bytes(f"cos\nsystem\n(S'touch {tmp_path / 'trace'}'\ntR.".encode())
    words = [word.replace("SOURCE", str(source)).replace("EVIL", str(evil)) for word in flags]
    code = fit.main(
        ["--arch", "resnet9", *words, "--fraction", "0.025", "--runs-dir", str(tmp_path / "runs"), "--no-export"]
    )
    error = capsys.readouterr().err
    assert code == USER_ERROR, error
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "trace").exists(), "a file of weights has run a command"


def test_published_weights_need_a_package_and_a_network(tmp_path, monkeypatch, capsys) -> None:
    words = ["--image-size", "96", "--weights", "imagenet", "--runs-dir", str(tmp_path / "runs"), "--no-export"]
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # as where it is not installed
    assert fit.main(["--arch", "resnet18", *words]) == USER_ERROR
    error = capsys.readouterr().err
    assert "pip install 'kerascnn[hub]'" in error
    assert "--weights FILE" in error
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there: as without a network
    if not list(
        (Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models").glob("inception_v3_weights*kernels.h5")
    ):
        assert fit.main(["--arch", "inception_v3_keras", *words]) == USER_ERROR
        error = capsys.readouterr().err
        assert "could not be downloaded" in error
        assert "--weights FILE" in error
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("features", [256, 2048])
@pytest.mark.parametrize("size", [0.3, 1.0])
def test_the_recipes_first_epochs_do_not_explode(features, size) -> None:
    """A fresh head on 244 photos, as in the recipe's first two epochs: what published networks see of one is 50 to 2,000 long
    when squared, and SGD at 0.05 multiplied the loss by nine on the longer ones."""
    recipe = load_recipe("finetune")
    rng = np.random.default_rng(0)
    labels = np.arange(244) % 2
    seen = (
        size * np.maximum(rng.normal(0.5, 0.7, (244, features)), 0) * (1 + 0.1 * labels[:, None] * rng.random(features))
    )
    head = keras.Sequential([keras.Input((features,)), keras.layers.Dense(2)])
    section = recipe.optim.model_copy(update={"schedule": "constant"})
    optimizer = optim.build(section, total_steps=16, steps_per_epoch=8, trainable=head.trainable_variables)
    head.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = head.evaluate(seen, labels, verbose=0)
    for _ in range(recipe.fit.head_epochs):
        head.fit(seen, labels, batch_size=recipe.fit.batch_size, shuffle=True, verbose=0)
        assert head.evaluate(seen, labels, verbose=0) < 1.1 * before


@pytest.mark.parametrize(
    "section",
    [
        {"arch": "resnet20", "width": 0.3, "width_divisor": 1, "blocks": (1, 2, 1)},
        {"arch": "resnet20", "width": 0.25, "shortcut": "none", "filters": {"stage2": 12}, "stem": "large"},
        {"arch": "inception_small", "width": 0.125, "branches": ("3x3",)},
    ],
    ids=lambda section: section["arch"],
)
def test_any_runs_weights_fit_as_the_readme_says(tmp_path, section) -> None:
    """`--config finetune --weights RUN` and nothing else about the network."""
    trained = Config(model=section, data={"image_size": 32})
    run = Run(tmp_path / "learned")
    run.write_config(trained)
    run.write_metrics({"test": {}})
    training.network(trained.model, 32, 10).save(run.best_model)
    words = ["--config", "finetune", "--weights", str(run.path)]
    config, _ = preflight.adopt(parse_config(words, prog="kerascnn fit", description=""), told(words))
    config = finetune.resolve(config, config.data.image_size)
    fresh = training.network(config.model, config.data.image_size, 3)
    lines = finetune.load(fresh, config.model)
    assert "head: the file's 10 classes are replaced by a fresh head for 3" in lines


def test_few_images_from_scratch_are_told_of_fine_tuning(splits, source) -> None:
    said = str(finetune.advice(splits, training.resolve(BASE, splits)))
    assert said.startswith(
        "note    14 training images a class, from scratch; fine-tuning needs fewer: --config finetune"
    )
    assert "resnet9 has none published" in said
    other = BASE.replace(data={"image_size": 96}, model={"arch": "resnet50"})
    assert "--weights imagenet" in str(finetune.advice(splits, other))
    assert finetune.advice(splits, resolved(splits, source)) is None
    many = dataclasses.replace(splits.train, indices=np.zeros(20_000, "int64"))
    assert finetune.advice(dataclasses.replace(splits, train=many), BASE) is None
