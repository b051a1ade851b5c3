"""Outputs beside the probabilities are read from the artefact, and only where it has them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kerascnn import artefacts
from kerascnn.artefacts import further, run_artefact
from tests.artefacts import further_files

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3)).astype("float32")


@pytest.mark.parametrize(("name", "write"), [("1", further_files.saved_model), ("model.onnx", further_files.onnx_file)])
def test_they_are_those_of_the_file(name: str, write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / name)
    predictor, expected = artefacts.open(tmp_path / name), further_files.expected(IMAGES)
    found = predictor.outputs(IMAGES)
    assert found.keys() == expected.keys()
    for output, values in expected.items():
        assert found[output].dtype.kind == values.dtype.kind
        np.testing.assert_allclose(found[output], values, atol=1e-5)
    np.testing.assert_allclose(predictor.infer(IMAGES), expected["probabilities"], atol=1e-5)


def test_the_script_without_the_package_knows_their_names() -> None:
    assert run_artefact.FURTHER == further.FURTHER


def test_a_file_without_them_has_probabilities(tmp_path: Path) -> None:
    further_files.onnx_file(tmp_path / "model.onnx", further=False)
    assert artefacts.open(tmp_path / "model.onnx").outputs(IMAGES).keys() == {"probabilities"}
