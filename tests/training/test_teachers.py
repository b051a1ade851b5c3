"""Teachers: found and pinned by content, asked in the student's order and size, refused with a message that helps."""

import dataclasses
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerascnn import artefacts, data, models, training
from kerascnn.artefacts import exporting
from kerascnn.config import Config, Devices
from kerascnn.data import Splits
from kerascnn.devices.plan import Plan, setup
from kerascnn.errors import UserError
from kerascnn.runs import Run
from kerascnn.runs.finding import DEMO_FILE
from kerascnn.runs.identity import identity
from kerascnn.training import teachers

BASE = Config(
    data={"fraction": 0.025},
    model={"arch": "resnet20", "width": 0.25, "blocks": (1, 1, 1)},
    fit={"epochs": 2, "batch_size": 16},
    devices={"dtype": "float32"},
)


@pytest.fixture(scope="module")
def splits() -> Splits:
    return data.load(BASE.data)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return setup(Devices(dtype="float32"), 16)


def with_teacher(place: object, splits: Splits, **fields: object):
    return training.resolve(BASE.replace(optim={"teacher": str(place), **fields}), splits)


def copied(folder: Path) -> Path:
    """The demo network in another folder, with what lies beside it."""
    shutil.copytree(DEMO_FILE.parent, folder)
    return folder / DEMO_FILE.name


def test_a_teacher_counts_by_content_and_not_by_place(tmp_path: Path, splits: Splits) -> None:
    there = with_teacher(DEMO_FILE, splits)
    moved = with_teacher(copied(tmp_path / "moved"), splits)
    assert there.optim.teacher != moved.optim.teacher
    assert identity(there, "data") == identity(moved, "data")
    alone = training.resolve(BASE, splits)
    assert identity(there, "data").keys() - identity(alone, "data").keys() == {"optim.teacher"}
    harder = with_teacher(DEMO_FILE, splits, distill="hard")
    assert identity(harder, "data")["optim.distill"] == "hard"


def test_a_teacher_that_is_gone_or_has_changed_is_named(tmp_path: Path, splits: Splits, plan: Plan) -> None:
    file = copied(tmp_path / "teacher")
    pinned = with_teacher(file, splits)
    network = keras.models.load_model(file, compile=False)
    network.layers[-1].set_weights([value + 1 for value in network.layers[-1].get_weights()])
    network.save(file)
    with pytest.raises(UserError, match=r"has changed since this run began .*start another run"):
        training.resolve(pinned, splits)
    with pytest.raises(UserError, match="has changed since"):
        teachers.find(pinned, splits, plan)
    file.unlink()
    assert training.resolve(pinned, splits) == pinned, "a finished run needs its teacher no longer"
    with pytest.raises(UserError, match=r"found nothing at .*\n.*give its new path: --teacher PATH"):
        teachers.find(pinned, splits, plan)
    with pytest.raises(UserError, match="expected a finished run, a SavedModel"):
        with_teacher(file, splits)
    with pytest.raises(UserError, match="64 hex digits"):
        with_teacher(f"{file}#sha256=12", splits)


def test_answers_are_in_the_order_of_the_students_classes_and_at_the_teachers_size(
    tmp_path: Path, splits: Splits, plan: Plan
) -> None:
    images = splits.train.source.fetch(tf.constant(splits.train.indices[:16]))
    file = copied(tmp_path / "turned")
    facts = file.parent / "assets/metadata.json"
    known = json.loads(facts.read_text())
    facts.write_text(json.dumps({**known, "class_names": [*reversed(known["class_names"][:9]), "more"]}))
    fewer = dataclasses.replace(splits, class_names=splits.class_names[:9])
    turned = teachers.find(with_teacher(file, fewer), fewer, plan)
    opened = artefacts.open(DEMO_FILE)
    assert opened.image_size < splits.image_size
    own = tf.image.resize(images, [opened.image_size] * 2, antialias=True)
    expected = opened.infer(own).numpy()[:, 8::-1]  # as the teacher knows them: "more" is the tenth
    np.testing.assert_allclose(
        tf.nn.softmax(turned(images)), expected / expected.sum(axis=1, keepdims=True), rtol=0.02, atol=1e-4
    )


def test_a_teacher_of_other_classes_is_refused_unless_only_its_features_count(splits: Splits, plan: Plan) -> None:
    others = dataclasses.replace(splits, class_names=("cat", *splits.class_names[1:]))
    with pytest.raises(UserError, match=r"lacks 1 of them .'cat'. and knows 10 .*--distill feature"):
        with_teacher(DEMO_FILE, others)
    teacher = teachers.find(with_teacher(DEMO_FILE, others, distill="feature"), others, plan)
    images = others.train.source.fetch(tf.constant(others.train.indices[:2]))
    assert teacher(images).shape == (2, teacher.width)
    assert len(teacher.lines(BASE.optim)) == 1


def test_a_teacher_that_was_trained_on_test_images_is_told(tmp_path: Path, splits: Splits, plan: Plan) -> None:
    run = Run(tmp_path / "teacher")
    run.path.mkdir()
    shutil.copyfile(DEMO_FILE, run.best_model)
    config = with_teacher(DEMO_FILE, splits)
    run.write_config(training.resolve(BASE, splits))
    turned = [
        (path, label, {"train": "test", "test": "train"}.get(split, split)) for path, label, split in splits.rows()
    ]
    run.write_data({**splits.summary(), "image_size": 28}, turned, [])
    run.write_metrics({"test": {}, "val": {}})
    seen = teachers.find(with_teacher(run.path, splits), splits, plan)
    assert seen.seen == len(splits.test)
    assert "trained on 1,000 of the test images" in seen.lines(config.optim)[-1]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"distill": "hard"}, "without a --teacher"),
        ({"distill_weight": 0.9}, "without a --teacher"),
        ({"teacher": "demo", "distill": "hard", "distill_temperature": 2}, "only soft has one"),
    ],
)
def test_options_without_effect_are_refused(fields: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        BASE.replace(optim=fields)


@pytest.mark.slow
def test_published_weights_teach_the_features_of_their_own_size(
    tmp_path: Path, splits: Splits, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Downloading aside: a file of fresh weights stands where the published ones would."""
    network = models.build("resnet18", (224, 224, 3), 1000)
    network.save(tmp_path / "published.keras")
    asked = []
    monkeypatch.setattr(teachers, "locate", lambda source, arch: asked.append(arch) or tmp_path / "published.keras")
    config = with_teacher("imagenet:resnet18", splits, distill="feature")
    teacher = teachers.find(config, splits, plan)
    assert set(asked) == {"resnet18"}
    images = splits.train.source.fetch(tf.constant(splits.train.indices[:2]))
    features = keras.Model(network.input, network.get_layer("pool").output)
    expected = features(tf.image.resize(images, (224, 224), antialias=True), training=False)
    np.testing.assert_allclose(teacher(images), expected, rtol=1e-3, atol=1e-3)
    assert with_teacher("imagenet", splits, distill="feature").optim.teacher.startswith("imagenet#")
    assert asked[-1] == teachers.DEFAULT_ARCH, "resnet20 has no published weights"


@pytest.mark.slow
@pytest.mark.training
def test_every_artefact_of_a_run_teaches_the_same(tmp_path: Path, splits: Splits, plan: Plan) -> None:
    pytest.importorskip("onnx", reason="extra onnx")
    from tests.training.test_loop import train

    run = train(tmp_path / "runs", splits, until=None, read_test=True)
    options = exporting.ExportOptions(formats=("savedmodel", "keras", "onnx"))
    done = exporting.export(run, tmp_path / "exports", options, splits=splits)
    images = splits.train.source.fetch(tf.constant(splits.train.indices[:16]))
    answers = {}
    for place in (
        run.path,
        done.version,
        done.version.parent,
        done.version / "model.keras",
        done.version / "model.onnx",
    ):
        teacher = teachers.find(with_teacher(place, splits), splits, plan)
        answers[place.name] = tf.nn.softmax(tf.function(teacher)(images) / 4).numpy()
    for found in answers.values():
        np.testing.assert_allclose(found, answers[run.path.name], atol=1e-4)
