"""Rows: names, families, sources, and where images become too small."""

import pytest

from kerascnn import models
from kerascnn.architectures import networks, tables
from kerascnn.errors import UserError
from kerascnn.models import cost


def test_families_resolve_by_image_size():
    assert [models.resolve("resnet", size) for size in (32, 64, 65, 224)] == ["resnet20"] * 2 + ["resnet50"] * 2
    assert [models.resolve("inception", size) for size in (64, 96)] == ["inception_small", "inception_v3"]
    assert models.resolve("wrn28_10", 999) == "wrn28_10"
    with pytest.raises(UserError, match="unknown arch 'inceptoin_v3'; perhaps you meant inception_v3"):
        models.resolve("inceptoin_v3", 32)


@pytest.mark.parametrize("arch", tables.ARCHS)
def test_row(arch):
    row = tables.row(arch)
    assert row.family in tables.FAMILIES
    assert row.pixels in tables.PIXELS
    assert row.paper
    assert row.year is None or 2014 <= row.year <= 2021
    assert row.image_size in (32, 160, 224, 299)
    assert (row.epsilon == 1.001e-5) == (arch in ("resnet50_keras", "resnetv2_50_keras"))


@pytest.mark.parametrize(
    ("arch", "smallest"), [("inception_v3", 75), ("inception_v4", 75), ("inception_resnet_v2", 75)]
)
def test_minimum_is_where_the_last_pixel_ends(arch, smallest):
    assert networks.minimum(networks.network(tables.row(arch)).body) == smallest  # keras.applications says 75 as well
    with pytest.raises(UserError, match=f"at least {smallest} px"):
        models.build(arch, (smallest, smallest - 1, 3), 2)


@pytest.mark.training
@pytest.mark.parametrize("arch", ["inception_v3", "googlenet", "resnet18", "resnet9", "inception_article"])
def test_the_minimum_is_reached_in_the_graph(arch):
    with pytest.raises(UserError, match="at least") as error:
        models.build(arch, (1, 1, 3), 2, stem="large")
    smallest = int(str(error.value).partition("at least ")[2].partition(" px")[0])
    with cost.weightless():
        network = models.build(arch, (smallest, smallest, 3), 2, stem="large")
    assert min(network.get_layer("stage3").output.shape[1:3]) >= 1
