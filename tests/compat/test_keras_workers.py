"""Alarms: each fails on the day when Keras trains with several workers by itself, or has changed what its repair rests on."""

import inspect
import json
import os
import socket
import subprocess
import sys

import keras
import pytest
import tensorflow as tf

from kerascnn.compat import keras_workers

BROKE = f"Keras {keras.__version__} has changed "
MENDED = (
    f"Keras {keras.__version__} seems to be mended (keras#20585): remove kerascnn/compat/keras_workers.mend if it is"
)
STOCK = """
import json, os, sys
import keras, numpy as np, tensorflow as tf
strategy = tf.distribute.MultiWorkerMirroredStrategy()
with strategy.scope():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    model.optimizer.build(model.trainable_variables)
    model._symbolic_build(data_batch=(np.zeros((2, 3), "float32"), np.zeros((2, 2), "float32")))
batches = tf.data.Dataset.from_tensors((tf.ones((2, 3)), tf.ones((2, 2)))).repeat()
distributed = strategy.distribute_datasets_from_function(lambda context: batches)
if "mended" in sys.argv[1]:
    from kerascnn.compat import keras_workers
    keras_workers.mend(model, strategy)
elif sys.argv[1] == "step":
    model._maybe_symbolic_build = lambda **_: None
try:
    model.fit(distributed, steps_per_epoch=2, verbose=0)
    print("trained")
except Exception as error:
    print("failed", type(error).__name__, str(error).splitlines()[0][:200])
sys.stdout.flush()
os._exit(0)
"""


def test_what_is_replaced_is_still_there() -> None:
    for name, call in (("_maybe_symbolic_build", '"MEAN"'), ("_make_function", "reduce_per_replica(")):
        assert call in inspect.getsource(getattr(keras.Model, name)), BROKE + f"Model.{name}. {MENDED}"


def test_a_mended_model_trains_over_the_workers_of_a_strategy() -> None:
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    with strategy.scope():
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        model.compile("sgd", "mse")
        model.optimizer.build(model.trainable_variables)
    keras_workers.mend(model, strategy)
    batches = tf.data.Dataset.from_tensors((tf.ones((2, 3)), tf.ones((2, 2)))).repeat()
    before = model.get_weights()[0]
    model.fit(batches, steps_per_epoch=2, shuffle=False, verbose=0)
    assert (model.get_weights()[0] != before).any()


@pytest.mark.slow
@pytest.mark.training
@pytest.mark.parametrize(("what", "fails"), [("stock", True), ("step", True), ("mended", False)])
def test_stock_keras_fails_with_two_workers(what: str, fails: bool) -> None:
    opened = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in opened]
    for one in opened:
        one.close()
    children = []
    for index in range(2):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        variables = {**os.environ, "TF_CONFIG": json.dumps(task), "CUDA_VISIBLE_DEVICES": ""}
        children.append(
            subprocess.Popen([sys.executable, "-c", STOCK, what], env=variables, stdout=subprocess.PIPE, text=True)
        )
    said = [child.communicate(timeout=300)[0] for child in children]
    assert all(text.startswith("failed" if fails else "trained") for text in said), f"{said}: {MENDED if fails else ''}"
