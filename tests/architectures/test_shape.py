"""The choices of a shape are fields of a config's model section, with the same defaults."""

from kerascnn.architectures.shape import PUBLISHED, SHAPE, Shape
from kerascnn.config import Model


def test_a_model_section_has_a_shape():
    assert set(SHAPE) <= set(Model.model_fields)
    assert Shape.of(Model()) == PUBLISHED
    section = Model(arch="resnet20", width=0.5, width_divisor=4, filters={"stage1": 12}, blocks=(1, 2, 1), stem="large")
    expected = Shape(width=0.5, width_divisor=4, filters={"stage1": 12}, blocks=(1, 2, 1), stem="large")
    assert Shape.of(section) == expected
