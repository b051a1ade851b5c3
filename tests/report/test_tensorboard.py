"""Event files: the tags and values of Keras' own callback, no step twice after a resume, and what TensorBoard reads."""

import collections
import json
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.graph.keras_util import keras_model_to_graph_def
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

from kerascnn.models import cost
from kerascnn.report import event_files, tensorboard_callbacks
from kerascnn.report import tensorboard as tb
from kerascnn.report.event_files import TRAIN, VALIDATION
from kerascnn.tracking.board import Board
from kerascnn.tracking.curves import Curves
from kerascnn.tracking.tracker import Subject

STEPS = 6  # of an epoch
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(STEPS * 4, 3)).astype("float32"), np.eye(2, dtype="float32")[RNG.integers(0, 2, STEPS * 4)]


def network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    optimizer = keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 30))
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, weighted_metrics=["accuracy"], jit_compile=False)
    return model


def board(log_dir, step=0, epochs_done=0, every_steps=2, input_wait=None):
    board = Board(Subject("run", log_dir))
    board.log_dir = log_dir
    return Curves(
        [board], every_steps=every_steps, step=step, epochs_done=epochs_done, input_wait=input_wait, images_per_step=4
    )


def fit(model, *callbacks, epochs=2, initial_epoch=0, steps=STEPS):
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4, drop_remainder=True)
    model.fit(
        data.repeat(),
        steps_per_epoch=steps,
        validation_data=data,
        epochs=epochs,
        initial_epoch=initial_epoch,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
    )


def records(directory):
    """[(tag, step, proto value)] in the order of the files, by TensorBoard's own reader."""
    found = []
    for path in sorted(directory.glob("*tfevents*")):
        for event in EventFileLoader(str(path)).Load():
            found += [(value.tag, event.step, value) for value in event.summary.value]
    return found


def curves(log_dir):
    """{(split, tag, step): value}; fails where a step is there twice."""
    points = {}
    for split in (TRAIN, VALIDATION):
        for tag, step, value in records(log_dir / split):
            if tag.startswith(("epoch_", "step_", "batch_")):
                assert (split, tag, step) not in points, f"{tag} has step {step} twice"
                points[split, tag, step] = float(tf.make_ndarray(value.tensor))
    return points


def test_overlays_with_keras_own_callback(tmp_path):
    """Every point of a stock run is in ours: curves by epoch under the same tag, one to the right as we count from 1."""
    stock = keras.callbacks.TensorBoard(tmp_path / "stock", update_freq=2, write_graph=False)
    fit(network(), stock, board(tmp_path / "ours"))
    ours, theirs = curves(tmp_path / "ours"), curves(tmp_path / "stock")
    assert len(theirs) == 2 * 3 + 2 * 2 + 6 * 2
    named = {
        (split, tag.replace("batch_", "step_"), step + tag.startswith("epoch_")): value
        for (split, tag, step), value in theirs.items()
    }
    assert {point: ours[point] for point in named} == pytest.approx(named)
    rates = [ours["train", "step_learning_rate", step] for step in range(2, 13, 2)]
    assert rates == sorted(rates, reverse=True)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The points of three epochs."""
    log_dir = tmp_path_factory.mktemp("undisturbed")
    fit(network(), board(log_dir), epochs=3)
    return curves(log_dir)


@pytest.mark.training
@pytest.mark.parametrize("at", [0, 3, 6, 8], ids=lambda step: f"step {step}")
def test_a_resumed_run_has_each_step_once(tmp_path, undisturbed, at):
    """Killed in the second epoch with the last checkpoint at step `at`; the same points as undisturbed."""
    killed = tmp_path / "killed"
    fit(network(), board(killed), epochs=2)
    epoch, done = divmod(at, STEPS)
    rest = board(killed, step=at, epochs_done=epoch)
    if done:  # the rest of the epoch first, as training does
        fit(network(), rest, epochs=epoch + 1, initial_epoch=epoch, steps=STEPS - done)
        rest = board(killed, step=(epoch + 1) * STEPS, epochs_done=epoch + 1)
    fit(network(), rest, epochs=3, initial_epoch=epoch + bool(done))
    # A process' first step traces: a point that falls on it says nothing about speed.
    lost = {("train", "step_images_per_second", at + 1)} if at == 3 else set()
    assert curves(killed).keys() == undisturbed.keys() - lost
    assert not list(killed.rglob(".aside*"))


@pytest.mark.training
def test_a_kill_in_the_middle_of_a_record(tmp_path):
    """Whatever bytes of the last record are missing, everything before it is kept and new points follow."""
    fit(network(), board(tmp_path), epochs=1)
    (path,) = (tmp_path / "train").glob("*tfevents*")
    whole = path.read_bytes()
    count = len(records(tmp_path / "train"))
    for missing in (1, 5, 30, 60):
        path.write_bytes(whole[:-missing])
        event_files.prepare(tmp_path, STEPS, 1)
        kept = records(tmp_path / "train")
        assert len(kept) == count - 1
        before = path.read_bytes()
        event_files.prepare(tmp_path, STEPS, 1)
        assert path.read_bytes() == before
    fit(network(), board(tmp_path, step=STEPS, epochs_done=1), epochs=2, initial_epoch=1)
    assert ("train", "epoch_loss", 2) in curves(tmp_path)


def test_prepare_leaves_what_is_not_a_curve(tmp_path):
    tb.write_config(tmp_path, "lr = 0.1")
    tb.write_images(tmp_path, "train", {"first_batch": picture(1)}, step=100)
    (tmp_path / "train" / "events.out.tfevents.1.vm.profile-empty").touch()
    still = {path: path.stat().st_ino for path in tmp_path.rglob("*tfevents*")}
    fit(network(), board(tmp_path), epochs=1)
    event_files.prepare(tmp_path, 0, 0)
    assert {path: path.stat().st_ino for path in tmp_path.rglob("*tfevents*")} == still
    event_files.prepare(tmp_path / "missing", 0, 0)


class Lazy(float):
    """A logged value that counts how often it is read."""

    reads = 0

    def __float__(self):
        Lazy.reads += 1
        return 1.0


def test_asks_the_device_only_every_so_many_steps(tmp_path):
    callback = board(tmp_path, every_steps=5)
    callback.set_model(network())
    callback.on_epoch_begin(0)
    Lazy.reads = 0
    for batch in range(14):
        callback.on_train_batch_end(batch, {"loss": Lazy(1), "accuracy": Lazy(1)})
    assert Lazy.reads == 2 * 2
    assert callback.step == 14


def test_steps_per_execution_may_jump_over_a_point(tmp_path):
    """Executions of 3 steps end at 3, 6, 9, 12: with a point every 4 steps at 6, 9, 12."""
    callback = board(tmp_path, every_steps=4)
    callback.set_model(network())
    callback.on_epoch_begin(0)
    for batch in (2, 5, 8, 11):
        callback.on_train_batch_end(batch, {"loss": 1.0})
    assert [step for tag, step, _ in records(tmp_path / "train") if tag == "step_loss"] == [6, 9, 12]


def test_speed_and_input_wait(tmp_path):
    """Steps of 20 ms at least that wait 5 ms for input: at most 200 images/s and a share of at most a quarter."""
    waited = [0.0]
    callback = board(tmp_path, input_wait=lambda: waited[0])
    callback.set_model(network())
    callback.on_epoch_begin(0)
    for batch in range(4):
        time.sleep(0.02)
        waited[0] += 0.005
        callback.on_train_batch_end(batch, {"loss": 1.0})
    time.sleep(1)  # validation does not count: 8 images in more than a second would be less than 8 a second
    callback.on_epoch_begin(1)
    for batch in range(2):
        time.sleep(0.02)
        waited[0] += 0.005
        callback.on_train_batch_end(batch, {"loss": 1.0})
    points = curves(tmp_path)
    for step in (2, 4, 6):
        assert 8 < points["train", "step_images_per_second", step] <= 200
        assert 0.01 < points["train", "step_input_wait", step] <= 0.25


@pytest.mark.training
def test_two_replicas(tmp_path):
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice()).scope():
        model = network()
    fit(model, board(tmp_path), epochs=1)
    assert curves(tmp_path)["train", "step_learning_rate", 2] == pytest.approx(0.1 * (1 + np.cos(np.pi * 2 / 30)) / 2)


def test_graph(tmp_path):
    """The operations, and the layers as TensorBoard's conceptual graph understands them."""
    inputs = keras.Input((8, 8, 3), dtype="uint8")
    stem = keras.layers.Conv2D(4, 3, padding="same", name="stem")(keras.layers.Rescaling(1 / 255)(inputs))
    block = keras.layers.Conv2D(4, 3, padding="same", name="stage1_block1")(stem)
    model = keras.Model(inputs, keras.layers.Add(name="stage1")([stem, block]), name="net")
    for _ in range(2):
        tb.write_graph(tmp_path, model, cost.inference_graph(model, (1, 8, 8, 3)))
    content = {tag: value.tensor.string_val[0] for tag, _, value in records(tmp_path / "train")}
    assert len(records(tmp_path / "train")) == len(content) == 2
    nodes = {node.op for node in tf.compat.v1.GraphDef.FromString(content["__run_graph__"]).node}
    assert {"Conv2D", "AddV2", "Placeholder"} <= nodes
    layers = keras_model_to_graph_def(json.loads(content["keras"]))
    assert {node.name: list(node.input) for node in layers.node}["net/stage1"] == ["net/stem", "net/stage1_block1"]


def picture(seed, size=8):
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype="uint8")
    return tf.io.encode_png(pixels).numpy()


def test_images_are_replaced_by_tag(tmp_path):
    tb.write_images(tmp_path, "val", {"predictions": picture(1), "worst_mistakes": picture(2)})
    tb.write_images(tmp_path, "val", {"predictions": picture(3, size=9)}, step=7)
    found = {tag: (step, value.tensor.string_val) for tag, step, value in records(tmp_path / "validation")}
    assert len(records(tmp_path / "validation")) == 2
    step, (width, _, png) = found["pictures/predictions"]
    assert (step, width) == (7, b"9")
    np.testing.assert_array_equal(tf.io.decode_png(png), tf.io.decode_png(picture(3, size=9)))
    assert found["pictures/worst_mistakes"][0] == 0


def test_config_is_text(tmp_path):
    for lr in (0.1, 0.2):
        tb.write_config(tmp_path, f"lr = {lr}")
    ((tag, _, value),) = records(tmp_path / "train")
    assert tag == "config"
    assert list(value.tensor.string_val) == [b"lr = 0.2"]


def test_hparams_show_all_runs_and_columns(tmp_path):
    """As TensorBoard's own plugin answers: one row per run, columns of both, final scores as the only metrics."""
    shared = {"arch": "resnet20", "lr": 0.1, "augment": ("shift", "flip"), "none": None}
    for run, own in {"a": {"zero_init_residual": True}, "b": {"ema": 0.5}, "c": {"ema": 0.5}}.items():
        log_dir = tmp_path / run / "tensorboard"
        tb.write_hparams(log_dir, run, {**shared, **own})
        fit(network(), board(log_dir), epochs=1)
        tb.write_hparams(log_dir, run, {**shared, **own}, {"test_accuracy": 0.9})
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(tmp_path))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(tmp_path))
    context = backend_context.Context(TBContext(data_provider=provider, logdir=str(tmp_path)))
    answer = list_session_groups.Handler(
        request_context=RequestContext(),
        backend_context=context,
        experiment_id="",
        request=api_pb2.ListSessionGroupsRequest(
            allowed_statuses=[api_pb2.STATUS_SUCCESS], start_index=0, slice_size=10, include_metrics=True
        ),
    ).run()
    rows = {group.name: group for group in answer.session_groups}
    assert rows.keys() == {"a", "b", "c"}
    assert set(rows["a"].hparams) == {"arch", "lr", "augment", "zero_init_residual"}
    assert set(rows["b"].hparams) == {"arch", "lr", "augment", "ema"}
    assert rows["a"].hparams["augment"].string_value == "shift flip"
    for row in rows.values():
        ((name, value),) = [(metric.name.tag, metric.value) for metric in row.metric_values]
        assert (name, value) == ("test_accuracy", pytest.approx(0.9))
    tags = collections.Counter(tag for tag, _, _ in records(tmp_path / "a" / "tensorboard" / "hparams"))
    assert set(tags.values()) == {1}


def test_profile_traces_some_steps_once(tmp_path):
    profile = tensorboard_callbacks.Profile(tmp_path, first=2, last=3)
    model = network()
    fit(model, profile, epochs=1)
    fit(model, profile, epochs=1)
    (trace,) = tmp_path.glob("train/plugins/profile/*/*.xplane.pb")
    content = trace.read_bytes()
    assert b"MatMul" in content
    assert b"step_num" in content


def test_epochs_count_from_one_and_accuracy_comes_first(tmp_path):
    """TensorBoard orders tags of scalars and pictures by name and opens the first ones."""
    fit(network(), board(tmp_path), epochs=2)
    tb.write_images(tmp_path, "train", {"curves": picture(1), "first_batch": picture(2)})
    tb.write_images(tmp_path, "val", {"val_confusion_matrix": picture(1)})
    tb.write_hparams(tmp_path, "run", {"lr": 0.1}, {"test_accuracy": 0.9})
    tags = [tag for path in tmp_path.iterdir() for tag, _, _ in records(path) if not tag.startswith("_hparams_")]
    assert min(tags) == "epoch_accuracy"
    assert {step for _, tag, step in curves(tmp_path) if tag.startswith("epoch_")} == {1, 2}


@pytest.mark.parametrize("killed", [False, True])
def test_epochs_that_were_counted_from_zero_are_counted_from_one(tmp_path, killed):
    """As earlier versions wrote them, over two starts; also where a kill interrupts the counting anew."""
    for epochs in ((0, 1), (2, 3)):
        for split in (TRAIN, VALIDATION):
            with tf.summary.create_file_writer(str(tmp_path / split)).as_default():
                for epoch in epochs:
                    tf.summary.scalar("epoch_loss", 10.0 + epoch, step=epoch)
                    tf.summary.scalar("batch_loss", 20.0 + epoch, step=epoch * STEPS)
    if killed:  # after the later file of one split
        later = max((tmp_path / TRAIN).glob("*tfevents*"))
        event_files.cut(later, *event_files.read(later), 3 * STEPS, 3, True)
    event_files.prepare(tmp_path, 3 * STEPS, 3)
    found = {(split, step): value for (split, tag, step), value in curves(tmp_path).items() if tag == "epoch_loss"}
    expected = {epoch: 9.0 + epoch for epoch in (1, 2, 3)}
    assert found == {(split, epoch): value for split in (TRAIN, VALIDATION) for epoch, value in expected.items()}
    before = curves(tmp_path)
    event_files.prepare(tmp_path, 3 * STEPS, 3)
    assert curves(tmp_path) == before


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_curves_and_pictures_of_a_split_lie_in_its_folder(tmp_path, split):
    labels, probabilities = np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    with event_files.only(tmp_path / VALIDATION, "pr-curves"):  # as before splits had folders of their own
        tf.summary.scalar("old", 1.0, step=0)
    with event_files.only(tmp_path / VALIDATION, f"image-{split}_ranking"):
        tf.summary.scalar("old", 1.0, step=0)
    for _ in range(2):
        tb.write_pr_curves(tmp_path, split, labels, probabilities, ["a", "b"])
        tb.write_images(tmp_path, split, {f"{split}_ranking": picture(1)})
    found = {path.name: [tag for tag, _, _ in records(path)] for path in tmp_path.iterdir()}
    assert sorted(found.pop(event_files.FOLDERS[split])) == sorted(
        ["pr/a/pr_curves", "pr/b/pr_curves", f"pictures/{split}_ranking"]
    )
    assert not any(found.values())
