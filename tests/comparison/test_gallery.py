"""Images of the gallery: those of the split that was scored."""

import numpy as np

from kerascnn import data
from kerascnn.comparison import gallery
from kerascnn.comparison.entry import Entry
from kerascnn.config import Config
from kerascnn.data import pipeline
from kerascnn.runs import Run
from kerascnn.studies.measured_cost import Cost
from tests.comparison.make_runs import finish


def test_images_of_runs_that_read_no_test(tmp_path):
    """As of a search's runs: val is all that they were scored on."""
    config = Config(data={"fraction": 0.025})
    splits = data.load(config.data)
    run = finish(
        Run(tmp_path / "run"), config, 0.8, images=len(splits.val), fingerprint=splits.fingerprint, split="val"
    )
    entry = Entry("resnet20", "", {0: run}, Cost(1000, 2000, 100.0, 2.0, 2.5, 900.0, 70_000))
    _, images = gallery._images(entry, 0, np.array(splits.val.ids())[[5, 2]])
    expected, _, _ = next(iter(pipeline.scoring(splits.val, splits, 6)))
    assert np.array_equal(images, expected.numpy()[[5, 2]])
