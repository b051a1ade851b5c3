"""Canaries: they fail where TensorBoard has changed what kerascnn/compat/tensorboard.py relies on."""

import pytest
import tensorboard.version

from kerascnn.compat import tensorboard as compat

BROKE = f"TensorBoard {tensorboard.version.VERSION} has changed "


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("api_pb2", ("STATUS_SUCCESS",)),
        ("custom_scalar", ("pb",)),
        ("hparams", ("hparams_pb", "hparams_config_pb", "HParam", "Metric", "Discrete", "IntInterval", "RealInterval")),
        ("layout_pb2", ("Layout", "Category", "Chart", "MultilineChartContent")),
        ("pr_curve", ("pb",)),
    ],
)
def test_the_names_are_there(module: str, names: tuple[str, ...]) -> None:
    missing = [name for name in names if not hasattr(getattr(compat, module), name)]
    assert not missing, BROKE + f"tensorboard.plugins' {module}: it has no {missing}"


def test_the_end_of_a_session_is_a_summary() -> None:
    (value,) = compat.session_end_pb(compat.api_pb2.STATUS_SUCCESS).value
    assert value.tag.endswith("session_end_info"), BROKE + "hparams.summary.session_end_pb"
