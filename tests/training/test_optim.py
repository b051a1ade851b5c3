"""Schedules as numbers, optimizers as they update."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerascnn.config import Optim, choices, defaults
from kerascnn.config.training import OptimizerName, ScheduleName
from kerascnn.training import optim


def lr(section: Optim, steps: int = 100, per_epoch: int = 10) -> np.ndarray:
    schedule = optim.Schedule(section, steps, per_epoch)
    return np.array([float(schedule(step)) for step in range(steps)])


def test_registries_are_the_configs_names() -> None:
    assert {"auto", *optim.SCHEDULES} == set(choices(ScheduleName))
    assert {"auto", *optim.OPTIMIZERS} == set(choices(OptimizerName))
    assert set(optim.OPTIMIZERS) == set(defaults.LEARNING_RATE) == set(defaults.WEIGHT_DECAY)


def test_cosine_warms_up_to_the_peak_and_falls_to_nothing() -> None:
    rate = lr(Optim(lr=0.4, warmup=2, schedule="cosine"))
    assert np.all(np.diff(rate[:20]) > 0)
    assert rate[0] == pytest.approx(0.4 / 20, rel=1e-3)
    assert rate[20] == pytest.approx(0.4, rel=1e-3)
    assert np.all(np.diff(rate[20:]) < 0)
    assert 0 < rate[-1] < 0.001


def test_step_falls_to_a_tenth_at_the_stated_shares() -> None:
    rate = lr(Optim(lr=1.0, schedule="step", warmup=0, step_epochs=(0.5, 0.75)))
    assert rate[[0, 49, 50, 74, 75, 99]] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_constant_without_warmup_is_constant() -> None:
    assert np.ptp(lr(Optim(lr=0.3, schedule="constant", warmup=0))) == 0


def test_warmup_takes_at_most_half_of_a_short_run() -> None:
    rate = lr(Optim(lr=0.1, warmup=1.0, schedule="cosine"), steps=10, per_epoch=10)
    assert rate.argmax() in (4, 5)


def test_schedule_config_round_trip() -> None:
    schedule = optim.Schedule(Optim(lr=0.2, schedule="step"), 100, 10)
    again = optim.Schedule.from_config(schedule.get_config())
    assert float(again(60)) == float(schedule(60))


@pytest.mark.parametrize("name", sorted(optim.OPTIMIZERS))
def test_weight_decay_spares_normalizations_and_biases(name: str) -> None:
    inputs = keras.Input((4,))
    outputs = keras.layers.Dense(3)(keras.layers.BatchNormalization()(inputs))
    model = keras.Model(inputs, outputs)
    section = Optim(optimizer=name, weight_decay=0.5, lr=0.1, warmup=0, schedule="constant")
    optimizer = optim.build(section, total_steps=10, steps_per_epoch=10, trainable=model.trainable_variables)
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape, "float32"))
    optimizer.apply([np.zeros(v.shape, "float32") for v in model.trainable_variables], model.trainable_variables)
    after = {v.path.split("/")[-1]: float(np.mean(v.numpy())) for v in model.trainable_variables}
    assert after["kernel"] == pytest.approx(0.95)
    assert (after["gamma"], after["beta"], after["bias"]) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("name", sorted(optim.OPTIMIZERS))
def test_no_decay_where_it_is_zero(name: str) -> None:
    kernel = keras.Variable(np.ones((4, 3), "float32"), name="kernel")
    section = Optim(optimizer=name, weight_decay=0, warmup=0, schedule="constant")
    optimizer = optim.build(section, total_steps=1, steps_per_epoch=1, trainable=[kernel])
    optimizer.apply([np.zeros((4, 3), "float32")], [kernel])
    np.testing.assert_array_equal(kernel.numpy(), 1)


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("name", sorted(optim.OPTIMIZERS))
def test_the_body_learns_at_a_fraction_of_the_rate(name: str, devices: int) -> None:
    """At rate r and backbone_lr_scale f the body moves as at rate f r, the head as at r: exactly, weight decay included."""
    gradients = np.random.default_rng(0).normal(size=(3, 4, 3)).astype("float32")

    def after_three_steps(lr: float, backbone_lr_scale: float) -> list[np.ndarray]:
        section = Optim(
            optimizer=name, lr=lr, backbone_lr_scale=backbone_lr_scale, weight_decay=0.1, warmup=0, schedule="constant"
        )
        strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(devices)])
        with strategy.scope() if devices > 1 else contextlib.nullcontext():
            body, head = (keras.Variable(np.ones((4, 3), "float32"), name=part) for part in ("body", "head"))
            optimizer = optim.build(section, total_steps=9, steps_per_epoch=9, trainable=[body, head], body=[body])
            optimizer.build([body, head])

        @tf.function
        def step(gradient):
            if devices == 1:
                optimizer.apply([gradient, gradient], [body, head])
            else:
                strategy.run(lambda g: optimizer.apply([g / 2, g / 2], [body, head]), args=(gradient,))

        for gradient in gradients:
            step(tf.constant(gradient))
        return [variable.numpy() for variable in (body, head)]

    (slow, head), (body, _), (fast, expected) = [
        after_three_steps(*rates) for rates in ((0.5, 0.125), (0.0625, 1.0), (0.5, 1.0))
    ]
    np.testing.assert_array_equal(slow, body)
    np.testing.assert_array_equal(head, expected)
    assert not np.array_equal(slow, fast)


@pytest.mark.parametrize("name", sorted(optim.OPTIMIZERS))
def test_biases_learn_at_a_multiple_of_the_rate(name: str) -> None:
    """At rate r and scale f biases and shifts move as at rate f r, everything else as at r: exactly, also in a backbone."""

    def after_two_steps(lr: float, bias_lr_scale: float, backbone_lr_scale: float = 1.0) -> dict[str, np.ndarray]:
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Dense(3, bias_initializer="ones"), keras.layers.BatchNormalization()]
        model = keras.Sequential([keras.Input((4,)), *layers])
        section = Optim(
            optimizer=name,
            lr=lr,
            bias_lr_scale=bias_lr_scale,
            backbone_lr_scale=backbone_lr_scale,
            weight_decay=0.1,
            warmup=0,
            schedule="constant",
        )
        trainable = model.trainable_variables
        optimizer = optim.build(section, total_steps=9, steps_per_epoch=9, trainable=trainable, body=trainable)
        for _ in range(2):
            optimizer.apply([np.full(v.shape, 0.5, "float32") for v in trainable], trainable)
        return {v.name: v.numpy() for v in trainable}

    found, faster, plain = after_two_steps(0.125, 4), after_two_steps(0.5, 1), after_two_steps(0.125, 1)
    assert set(found) == {"kernel", "bias", "gamma", "beta"}
    for variable, value in found.items():
        same, other = (faster, plain) if variable in ("bias", "beta") else (plain, faster)
        np.testing.assert_array_equal(value, same[variable])
        assert not np.array_equal(value, other[variable])
    both = after_two_steps(0.25, 4, backbone_lr_scale=0.5)
    assert all(np.array_equal(both[variable], found[variable]) for variable in found)


def test_linear_is_one_cycle() -> None:
    rate = lr(Optim(lr=0.4, warmup=2, schedule="linear"))
    assert rate.argmax() == 19  # the last step of the warm-up
    assert np.diff(rate[20:]) == pytest.approx(np.full(79, -0.4 / 80), rel=1e-2)


def steps_of(optimizer, replicas: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A variable and its momentum after three steps."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice())
    with strategy.scope() if replicas else contextlib.nullcontext():
        variable = keras.Variable(np.linspace(-1, 1, 6, dtype="float32").reshape(2, 3))
        built = optimizer()
        built.build([variable])
    scale = 0.5 if replicas else 1.0  # the replicas' gradients are summed

    @tf.function
    def step(gradient):
        def one():
            built.apply_gradients([(gradient * scale, variable)])

        strategy.run(one) if replicas else one()

    for value in (1.0, -2.0, 0.5):
        step(tf.fill((2, 3), value))
    return keras.ops.convert_to_numpy(variable.value), keras.ops.convert_to_numpy(built.momentums[0].value)


@pytest.mark.parametrize("replicas", [False, True])
@pytest.mark.parametrize("nesterov", [False, True])
def test_one_pass_over_the_weights_equals_keras(nesterov: bool, replicas: bool) -> None:
    options = {"learning_rate": 0.1, "momentum": 0.9, "nesterov": nesterov}
    ours = steps_of(lambda: optim.SGD(weight_decay=0.01, **options), replicas)
    stock = steps_of(lambda: keras.optimizers.SGD(weight_decay=0.01, **options), replicas)
    for mine, theirs in zip(ours, stock, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)


@pytest.mark.parametrize("name", sorted(optim.OPTIMIZERS))
def test_accumulated_gradients_are_one_update_of_their_mean(name: str) -> None:
    def after(gradients: list[float], accumulate: int) -> np.ndarray:
        variable = keras.Variable(np.ones((2, 3), "float32"))
        section = Optim(optimizer=name, lr=0.1, warmup=0, schedule="constant")
        built = optim.build(section, total_steps=4, steps_per_epoch=4, trainable=[variable], accumulate=accumulate)
        built.build([variable])
        for gradient in gradients:
            built.apply_gradients([(tf.fill((2, 3), gradient), variable)])
        return variable.numpy()

    np.testing.assert_allclose(after([1.0, 3.0], accumulate=2), after([2.0], accumulate=1), rtol=1e-6)
    assert after([1.0, 3.0, 5.0], accumulate=2) == pytest.approx(after([2.0], accumulate=1))  # half a group waits


def test_averaged_weights_count_an_update_once_however_many_batches_it_takes() -> None:
    def average(gradients: list[float], accumulate: int) -> np.ndarray:
        variable = keras.Variable([1.0, 2.0])
        section = Optim(optimizer="sgd", lr=0.1, ema=0.9, schedule="constant", warmup=0, weight_decay=0)
        built = optim.build(section, total_steps=8, steps_per_epoch=8, trainable=[variable], accumulate=accumulate)
        built.build([variable])
        for gradient in gradients:
            built.apply([keras.ops.full((2,), gradient)], [variable])
        return np.array(built._model_variables_moving_average[0])

    # Batches after an update that only wait belong to it: the third closes the second update's turn.
    slow = average([1.0, 1.0, 3.0, 3.0, 0.0], accumulate=2)
    quick = average([1.0, 3.0], accumulate=1)
    np.testing.assert_allclose(slow, quick, rtol=1e-5)


@pytest.mark.parametrize("shape", [(3, 3, 8, 16), (1, 1, 8, 32)])
@pytest.mark.parametrize("gpus", [0, 1])
def test_muon_moves_a_kernel_by_the_rate_in_every_direction(
    shape: tuple[int, ...], gpus: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step's singular values are about the rate, its singular vectors the gradient's, and Keras' form gives the same."""
    gradient = np.random.default_rng(0).normal(size=shape).astype("float32")
    kernel = keras.Variable(np.zeros(shape, "float32"), name="kernel")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [None] * gpus)
    section = Optim(optimizer="muon", lr=0.1, momentum=0, weight_decay=0, warmup=0, schedule="constant")
    optimizer = optim.build(section, total_steps=10, steps_per_epoch=10, trainable=[kernel])
    optimizer.apply([gradient], [kernel])
    matrix = gradient.reshape(-1, shape[-1])
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    step = left.T @ -kernel.numpy().reshape(matrix.shape) @ right.T
    widening = max(1.0, shape[-1] / len(matrix)) ** 0.5
    assert np.diag(step) == pytest.approx(np.full(len(step), 0.1 * widening), rel=0.35)
    assert np.abs(step - np.diag(np.diag(step))).max() < 1e-3
    keras_form = keras.optimizers.Muon.zeropower_via_newtonschulz5(optimizer, tf.constant(matrix), 5)
    np.testing.assert_allclose(-kernel.numpy().reshape(matrix.shape), 0.1 * widening * keras_form, atol=1e-4)


@pytest.mark.parametrize("shape", [(4, 3), (3,), (3, 3, 8, 1)])
def test_muon_leaves_all_but_kernels_that_mix_channels_to_adamw(shape: tuple[int, ...]) -> None:
    variables = {name: [keras.Variable(np.ones(shape, "float32"), name="kernel")] for name in ("muon", "adamw")}
    for name, rate in (("muon", 0.1), ("adamw", 0.1 * optim.ADAM_RATIO)):
        section = Optim(optimizer=name, lr=rate, weight_decay=0, warmup=0, schedule="constant")
        optimizer = optim.build(section, total_steps=10, steps_per_epoch=10, trainable=variables[name])
        for seed in range(3):
            optimizer.apply([np.random.default_rng(seed).normal(size=shape).astype("float32")], variables[name])
    np.testing.assert_allclose(variables["muon"][0].numpy(), variables["adamw"][0].numpy(), rtol=1e-5)
    assert np.abs(variables["muon"][0].numpy() - 1).max() > 1e-3
