"""The slices of several workers are the batch of one, bit for bit: whatever is augmented, mixed, sampled or damaged."""

import numpy as np
import pytest

from kerascnn import data
from kerascnn.config import Augment, Data
from kerascnn.data import pipeline
from kerascnn.data.cache import Cache
from kerascnn.data.sampling import Sampling
from kerascnn.data.worker_slice import WHOLE, WorkerSlice, wanted
from kerascnn.errors import UserError
from tests import several

BATCH, STEPS = 12, 3
VARIED = ("shift", "flip", "color", "cutout")


@pytest.fixture(scope="module")
def embedded():
    return data.load(Data(fraction=0.005))


@pytest.mark.parametrize("count", [3, *(pytest.param(count, marks=pytest.mark.slow) for count in (2, 4))])
@pytest.mark.parametrize(
    ("augment", "options"),
    [
        pytest.param(Augment(augment=VARIED), {}, marks=pytest.mark.slow),
        (Augment(augment=(*VARIED, "mixup", "cutmix")), {"label_smoothing": 0.1}),
        pytest.param(Augment(augment=("mixup", "cutmix"), mix_mode="batch"), {}, marks=pytest.mark.slow),
        (Augment(augment=("mixup", "cutmix"), mix_mode="pair"), {}),
        pytest.param(Augment(augment=("cutmix",), mix_mode="elem"), {"cache": Cache("memory")}, marks=pytest.mark.slow),
        (Augment(augment=("mixup",)), {"sampled": Sampling("balanced", 2), "start_step": 3}),
    ],
    ids=["images", "neighbor", "batch", "pair", "elem", "sampled"],
)
def test_slices_are_the_batch(embedded, augment, options, count):
    weights = pipeline.balanced(embedded.train, 10)
    options = {"augment": augment, "seed": 7, "batch_size": BATCH, "class_weights": weights, **options}

    def batches(part):
        return list(pipeline.training(embedded, part=part, **options).take(STEPS).as_numpy_iterator())

    parts = [batches(WorkerSlice(index, count)) for index in range(count)]
    for step, whole in enumerate(batches(WHOLE)):
        for place, value in enumerate(whole):
            np.testing.assert_array_equal(np.concatenate([part[step][place] for part in parts]), value)


def test_slices_of_several_labels_are_the_batch():
    splits = several.splits(60)
    weights = pipeline.balanced(splits.train, len(splits.class_names))
    section = Augment(augment=("mixup", "cutmix"))
    options = {"augment": section, "seed": 1, "batch_size": BATCH, "class_weights": weights}
    one, *parts = (
        next(pipeline.training(splits, part=part, **options).as_numpy_iterator())
        for part in (WHOLE, WorkerSlice(0, 2), WorkerSlice(1, 2))
    )
    for value, *values in zip(one, *parts, strict=True):
        np.testing.assert_array_equal(np.concatenate(values), value)


@pytest.mark.parametrize("count", [3, pytest.param(2, marks=pytest.mark.slow)])
def test_slices_of_val_are_every_image_once(embedded, count):
    batch_size = 36
    assert len(embedded.val) % batch_size, "the last batch is padded"
    whole = list(pipeline.scoring(embedded.val, embedded, batch_size).as_numpy_iterator())
    parts = [
        list(pipeline.scoring(embedded.val, embedded, batch_size, part=WorkerSlice(index, count)).as_numpy_iterator())
        for index in range(count)
    ]
    for step, batch in enumerate(whole):
        for place, value in enumerate(batch):
            np.testing.assert_array_equal(np.concatenate([part[step][place] for part in parts]), value)


def test_a_part_decodes_its_own_images_and_one_neighbor():
    assert wanted(WorkerSlice(1, 4), 16, None).positions.tolist() == [4, 5, 6, 7]
    assert wanted(WorkerSlice(1, 4), 16, "neighbor").positions.tolist() == [4, 5, 6, 7, 3]
    assert wanted(WorkerSlice(0, 4), 16, "neighbor").positions.tolist() == [0, 1, 2, 3, 15]
    assert wanted(WorkerSlice(1, 4), 16, "elem").positions.tolist() == [4, 5, 6, 7, 8, 9, 10, 11]
    assert wanted(WHOLE, 4, "batch").partners.tolist() == [3, 2, 1, 0]
    with pytest.raises(UserError, match="no 3 equal parts"):
        wanted(WorkerSlice(0, 3), 16, None)
