"""How long a config trains that does not say so, and on what sizes."""

import pytest

from kerascnn import runs
from kerascnn.config import Config
from kerascnn.training import assembly


@pytest.mark.parametrize(
    ("fit", "optimizer", "arch", "image_size", "expected"),
    [
        ({}, "muon", "resnet20", 32, (6, 4)),
        ({}, "muon", "inception_small", 32, (3, 2)),
        ({}, "muon", "resnet18", 64, (6, 4)),
        ({}, "muon", "resnet18", 96, (12, 0)),
        ({}, "sgd", "resnet20", 32, (12, 0)),
        ({}, "sgd", "inception_small", 32, (6, 0)),
        ({"epochs": 12}, "muon", "resnet20", 32, (12, 0)),
        ({"epochs": 12, "low_res_epochs": 5}, "muon", "resnet20", 32, (12, 5)),
        ({"low_res_epochs": 0}, "muon", "resnet20", 32, (6, 0)),
        ({"low_res_epochs": 2}, "sgd", "resnet20", 32, (12, 2)),
    ],
)
def test_the_table(fit, optimizer, arch, image_size, expected):
    config = Config(optim={"optimizer": optimizer}, fit=fit)
    assert assembly.length(config, arch, image_size) == expected


def test_what_fine_tunes_sees_no_small_images():
    config = Config(optim={"optimizer": "muon"}, model={"weights": "RUN"})
    assert assembly.length(config, "resnet20", 32) == (12, 0)


def test_runs_of_the_defaults_of_before_keep_their_identity():
    """When there was no `auto`, sgd, cosine and no small images were left out of an identity as the defaults."""
    before = Config(optim={"optimizer": "sgd", "schedule": "cosine"}, fit={"epochs": 12, "low_res_epochs": 0})
    assert runs.identity(before, "abc") == {"data.fingerprint": "abc", "fit.epochs": 12}
    now = before.replace(optim={"optimizer": "muon"}, fit={"low_res_epochs": 4})
    assert runs.identity(now, "abc") == {
        "data.fingerprint": "abc",
        "fit.epochs": 12,
        "optim.optimizer": "muon",
        "fit.low_res_epochs": 4,
    }
