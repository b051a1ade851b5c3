"""The default learning rate as a table, and what a run's config says of it."""

import itertools
from pathlib import Path

import pytest

from kerascnn import runs
from kerascnn.cli.recipes import dumps, load_recipe, load_toml
from kerascnn.config import Config, defaults
from kerascnn.runs import Run, prepare

SIZES = (8, 28, 32, 33, 48, 64, 65, 96, 128, 160, 192, 223, 224, 299, 448)
# (batch size, image size) -> sgd's default rate.
TABLE = {
    (64, 8): 0.1,
    (64, 28): 0.1,
    (64, 32): 0.1,
    (16, 32): 0.025,
    (128, 32): 0.2,
    (512, 32): 0.8,
    (64, 64): 0.1 * 64 / 105,
    (16, 64): 0.1 * 16 / 105,
    (16, 65): 0.1 * 16 / 106,
    (64, 128): 0.1 * 64 / 172,
    (64, 224): 0.025,
    (16, 224): 0.00625,
    (256, 224): 0.1,
    (256, 299): 0.1,
}


def config(batch_size: int = 64, optimizer: str = "sgd", accumulate: int = 1, **optim) -> Config:
    return Config(
        optim={"optimizer": optimizer, "schedule": "cosine", **optim},
        fit={"batch_size": batch_size, "accumulate": accumulate, "epochs": 3},
    )


@pytest.mark.parametrize(("batch_size", "image_size"), TABLE, ids=str)
def test_the_table(batch_size: int, image_size: int) -> None:
    expected = TABLE[batch_size, image_size]
    assert defaults.used(config(batch_size), image_size)["lr"] == pytest.approx(expected, rel=1e-12)
    assert defaults.default_lr("adamw", batch_size, image_size) == 0.001
    assert defaults.default_lr("muon", batch_size, image_size) == 0.1


def test_it_is_in_proportion_to_the_batch_at_every_size_and_falls_without_a_jump() -> None:
    for size in SIZES:
        one = defaults.default_lr("sgd", 1, size)
        assert [defaults.default_lr("sgd", n, size) / n for n in (4, 16, 100, 1024)] == pytest.approx([one] * 4)
        assert defaults.with_lr(config(8, accumulate=4), size) == config(8, accumulate=4).replace(
            optim={"lr": defaults.with_lr(config(32), size).optim.lr}
        )
    every = [defaults.default_lr("sgd", 64, size) for size in range(8, 400)]
    assert all(0.97 * before < after <= before for before, after in itertools.pairwise(every))


@pytest.mark.parametrize("size", SIZES)
def test_what_the_config_then_holds_is_what_is_used(size: int) -> None:
    for batch, optimizer in itertools.product((16, 64, 105, 256), defaults.LEARNING_RATE):
        given = defaults.with_lr(config(batch, optimizer), size)
        assert defaults.used(given, size) == defaults.used(config(batch, optimizer), size)
        if given.optim.lr is None:  # the optimizer's own, which is what `optim.peak` takes then
            assert defaults.used(given, size)["lr"] == defaults.LEARNING_RATE[optimizer]
    assert defaults.with_lr(config(lr=0.3), size).optim.lr == 0.3


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"lr": 0.5, "lr_base_batch": 256}, 0.5 * 64 / 256),
        ({"optimizer": "adamw", "lr_base_batch": 128}, 0.001 * 64 / 128),
        ({"optimizer": "sgd", "lr_base_batch": 64}, 0.1),
        ({"optimizer": "lamb"}, 0.002),
    ],
)
def test_a_rate_for_another_batch_becomes_a_number_once(given, expected) -> None:
    asked = config(32, accumulate=2, **given)
    assert defaults.used(asked, 224)["lr"] == pytest.approx(expected)
    found = defaults.with_lr(asked, 224)
    assert (found.optim.lr, found.optim.lr_base_batch) == (pytest.approx(expected), None)
    assert defaults.with_lr(found, 224) == found


def test_runs_of_before_keep_their_identity() -> None:
    """A batch of 64 at 32 px, and whole photos: the same rate, kept in the same way, hence the same name."""
    small, large = config(), config(48)
    assert defaults.with_lr(small, 32) == small
    assert defaults.with_lr(large, 224).optim.lr == 0.1 * 48 / 256
    assert defaults.with_lr(config(256), 224).optim.lr == 0.1


@pytest.mark.parametrize(
    ("given", "image_size", "weights", "expected"),
    [
        ({}, 32, None, ("muon", "linear")),
        ({}, 64, None, ("muon", "linear")),
        ({}, 65, None, ("sgd", "cosine")),
        ({}, 32, "RUN", ("sgd", "cosine")),
        ({"optimizer": "sgd"}, 32, None, ("sgd", "cosine")),
        ({"optimizer": "muon"}, 224, None, ("muon", "linear")),
        ({"schedule": "step"}, 32, None, ("muon", "step")),
        ({"optimizer": "adamw", "schedule": "constant"}, 32, None, ("adamw", "constant")),
    ],
)
def test_optimizer_and_schedule_of_auto(given, image_size, weights, expected) -> None:
    found = defaults.with_optimizer(Config(optim=given, model={"weights": weights}), image_size).optim
    assert (found.optimizer, found.schedule) == expected


def written(folder: Path, given: Config, *, before: bool) -> Run:
    """A run that began with `given`; `before`: by a version that did not say what it used."""
    run = Run(folder / "run")
    run.write_config(given)
    if before:
        run.config_file.write_text(dumps(given))
    run.add_environment({})
    return run


@pytest.mark.parametrize(
    ("batch_size", "image_size", "rate"), [(64, 32, None), (16, 32, 0.1), (128, 28, 0.1), (64, 64, 0.1)]
)
def test_a_run_of_before_goes_on_with_the_rate_that_it_began_with(tmp_path, batch_size, image_size, rate) -> None:
    given = config(batch_size).replace(data={"image_size": image_size}, logging={"runs_dir": tmp_path, "run": "run"})
    run = written(tmp_path, given, before=True)
    run.write_data({"fingerprint": "abc"}, [], [])
    run.write_history([{"epoch": 1, "loss": 2.0}])
    again = defaults.with_lr(load_recipe(run.config_file), image_size)
    assert again.optim.lr == rate
    assert prepare(again, "abc", "mini").path == run.path
    assert run.config() == again


def test_config_toml_says_what_was_used_and_reads_as_before(tmp_path) -> None:
    given = defaults.with_lr(config(16, weight_decay=0.01).replace(data={"image_size": 32}), 32)
    run = written(tmp_path, given, before=False)
    table = load_toml(run.config_file)
    assert table["resolved"] == {"lr": 0.025, "weight_decay": 0.01, "image_size": 32}
    assert run.config() == load_recipe(run.path) == given
    assert runs.identity(run.config(), "abc") == runs.identity(given, "abc")
    bare = written(tmp_path / "bare", config().replace(data={"image_size": 32}), before=False)
    assert load_toml(bare.config_file)["resolved"] == {"lr": 0.1, "weight_decay": 0.005, "image_size": 32}
    assert "lr" not in load_toml(bare.config_file)["optim"]
    assert bare.config().optim.lr is None
