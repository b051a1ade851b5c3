"""The two passes of sharpness-aware minimization, against the formulas of the papers."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerascnn.errors import UserError
from kerascnn.training import sharpness

RNG = np.random.default_rng(0)
IMAGES, TARGETS = RNG.normal(size=(8, 4)).astype("float32"), RNG.normal(size=(8, 3)).astype("float32")
LR, RHO = 0.1, 0.5


def network(*inside: keras.layers.Layer) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(5), *inside, keras.layers.Dense(3)])


def compiled(model: keras.Model, adaptive: bool = False) -> keras.Model:
    model.train_step = sharpness.train_step(model, RHO, adaptive=adaptive)
    model.compile(keras.optimizers.SGD(LR), "mse", jit_compile=False)
    return model


def gradients_at(model: keras.Model, weights: list[np.ndarray]) -> list[np.ndarray]:
    for variable, value in zip(model.trainable_variables, weights, strict=True):
        variable.assign(value)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(IMAGES, training=True) - TARGETS) ** 2)
    return [gradient.numpy() for gradient in tape.gradient(loss, model.trainable_variables)]


@pytest.mark.parametrize("adaptive", [False, True])
def test_the_update_is_by_the_gradient_at_the_moved_weights(adaptive: bool) -> None:
    by_hand, model = network(), compiled(network(), adaptive)
    start = [variable.numpy() for variable in by_hand.trainable_variables]
    sizes = [np.abs(value) + 0.01 if adaptive and value.ndim > 1 else np.ones_like(value) for value in start]
    scaled = [size * gradient for size, gradient in zip(sizes, gradients_at(by_hand, start), strict=True)]
    length = np.sqrt(sum(np.sum(value**2) for value in scaled))
    moved = [w + RHO * size * s / length for w, size, s in zip(start, sizes, scaled, strict=True)]
    expected = [w - LR * g for w, g in zip(start, gradients_at(by_hand, moved), strict=True)]
    loss = float(tf.reduce_mean((model(IMAGES) - TARGETS) ** 2))
    history = model.fit(IMAGES, TARGETS, batch_size=8, verbose=0, shuffle=False)
    for variable, value in zip(model.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, rtol=1e-4, atol=1e-6)
    assert history.history["loss"][0] == pytest.approx(loss, rel=1e-5), "the loss is that of the first pass"


def test_the_second_pass_leaves_statistics_and_seeds_alone_and_repeats_the_dropout() -> None:
    inside = keras.layers.BatchNormalization(momentum=0.5), keras.layers.Dropout(0.5, seed=1)
    plain, model = (
        network(*inside),
        compiled(network(*(type(layer).from_config(layer.get_config()) for layer in inside))),
    )
    plain.compile(keras.optimizers.SGD(LR), "mse")
    for each in (plain, model):
        each.fit(IMAGES, TARGETS, batch_size=8, verbose=0, shuffle=False)
    states = [[variable.numpy() for variable in each.non_trainable_variables] for each in (plain, model)]
    assert len(states[0]) == 3  # mean, variance, seed
    for one, other in zip(*states, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    # A distance of nearly 0 gives the plain step only if both passes drop the same units.
    tiny, again = (network(*(type(layer).from_config(layer.get_config()) for layer in inside)) for _ in range(2))
    tiny.train_step = sharpness.train_step(tiny, 1e-6, adaptive=False)
    for each in (tiny, again):
        each.compile(keras.optimizers.SGD(LR), "mse", jit_compile=False)
        each.fit(IMAGES, TARGETS, batch_size=8, verbose=0, shuffle=False)
    for one, other in zip(tiny.trainable_variables, again.trainable_variables, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-3, atol=1e-5)


def test_replicas_go_the_same_way_as_one_device() -> None:
    """The two halves of the batch differ, and so would their own directions."""

    def after(replicas: int) -> list[np.ndarray]:
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice())
        with strategy.scope() if replicas > 1 else contextlib.nullcontext():
            model = compiled(network())
        batches = tf.data.Dataset.from_tensors((IMAGES, TARGETS)).repeat()
        model.fit(batches, steps_per_epoch=3, verbose=0, shuffle=False)
        return [keras.ops.convert_to_numpy(variable.value) for variable in model.trainable_variables]

    for one, two in zip(after(1), after(2), strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-6)


class Captured(keras.layers.Dense):
    """Reads its kernel as TensorFlow's variable, which no scope of Keras can replace."""

    def build(self, input_shape):
        super().build(input_shape)
        self.captured = self.kernel.value

    def call(self, inputs):
        return tf.matmul(inputs, self.captured)


def test_a_network_that_cannot_be_moved_is_refused() -> None:
    model = compiled(network(Captured(5, name="mine")))
    with pytest.raises(UserError, match=r"--sam-rho: .*mine/kernel is not read through Keras"):
        model.fit(IMAGES, TARGETS, batch_size=8, verbose=0)
