"""Optimizers as they update."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerascnn.compat import keras as compat
from kerascnn.config import Optim, choices, defaults
from kerascnn.config.training import OptimizerName, ScheduleName
from kerascnn.errors import UserError
from kerascnn.training import optim, schedules


def test_registries_are_the_configs_names() -> None:
    assert {"auto", *schedules.SCHEDULES} == set(choices(ScheduleName))
    assert {"auto", *optim.OPTIMIZERS} == set(choices(OptimizerName))
    assert set(optim.OPTIMIZERS) == set(defaults.LEARNING_RATE) == set(defaults.WEIGHT_DECAY)


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


@pytest.mark.parametrize("devices", [1, pytest.param(2, marks=pytest.mark.slow)])
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


def stepped(optimizer: keras.optimizers.Optimizer, gradients: list[np.ndarray], start: np.ndarray) -> np.ndarray:
    """A kernel after steps by these gradients."""
    kernel = keras.Variable(start, name="kernel")
    optimizer.build([kernel])
    for gradient in gradients:
        optimizer.apply([tf.constant(gradient)], [kernel])
    return kernel.numpy()


GRADIENTS = [np.random.default_rng(seed).normal(size=(4, 3)).astype("float32") for seed in range(3)]
START = np.random.default_rng(9).normal(size=(4, 3)).astype("float32")


@pytest.mark.parametrize(
    ("fields", "stock"),
    [
        ({"optimizer": "lamb"}, lambda rate: keras.optimizers.Lamb(rate)),
        ({"optimizer": "lion"}, lambda rate: keras.optimizers.Lion(rate)),
        ({"optimizer": "adafactor"}, lambda rate: keras.optimizers.Adafactor(rate, relative_step=False)),
        (
            {"optimizer": "rmsprop", "rms_decay": 0.8, "epsilon": 1.0},
            lambda rate: keras.optimizers.RMSprop(rate, rho=0.8, momentum=0.9, epsilon=1.0),
        ),
        (
            {"optimizer": "adamw", "epsilon": 0.1},
            lambda rate: keras.optimizers.AdamW(rate, epsilon=0.1, weight_decay=0),
        ),
        ({"optimizer": "sgd", "clip_value": 0.3}, lambda rate: keras.optimizers.SGD(rate, 0.9, True, clipvalue=0.3)),
        (
            {"optimizer": "sgd", "clip_norm": 0.3},
            lambda rate: keras.optimizers.SGD(rate, 0.9, True, global_clipnorm=0.3),
        ),
    ],
    ids=lambda given: str(given) if isinstance(given, dict) else "keras",  # a function's own text holds its address
)
def test_an_optimizer_is_keras_own(fields: dict, stock) -> None:
    section = Optim(**fields, lr=0.05, weight_decay=0, warmup=0, schedule="constant")
    ours = optim.build(section, total_steps=9, steps_per_epoch=9, trainable=[])
    np.testing.assert_array_equal(stepped(ours, GRADIENTS, START), stepped(stock(0.05), GRADIENTS, START))


def test_rmsprop_torch_by_its_formula() -> None:
    """As torch.optim.RMSprop documents it: epsilon after the root, and the rate after the momentum."""
    section = Optim(optimizer="rmsprop_torch", lr=0.05, epsilon=0.5, weight_decay=0, warmup=0, schedule="linear")
    square = buffer = 0.0
    expected = START.astype("float64")
    for step, gradient in enumerate(GRADIENTS):
        square = 0.9 * square + 0.1 * gradient.astype("float64") ** 2
        buffer = 0.9 * buffer + gradient / (np.sqrt(square) + 0.5)
        expected = expected - 0.05 * (1 - (step + 0.5) / 9) * buffer
    ours = optim.build(section, total_steps=9, steps_per_epoch=9, trainable=[])
    np.testing.assert_allclose(stepped(ours, GRADIENTS, START), expected, rtol=1e-5)


@pytest.mark.parametrize("nesterov", [True, False])
def test_one_cycle_moves_the_momentum_of_sgd(nesterov: bool) -> None:
    fields = {"momentum": 0.9 if nesterov else 0.0, "cycle_momentum": (0.2, 0.9)}
    section = Optim(optimizer="sgd", lr=0.1, weight_decay=0, schedule="one_cycle", **fields)
    ours = optim.build(section, total_steps=3, steps_per_epoch=3, trainable=[])
    kernel, m = START.astype("float64"), 0.0
    for step, gradient in enumerate(GRADIENTS):
        rate = float(ours.schedule(step))
        momentum = float(ours.schedule.momentum(step)) if nesterov else 0.0
        m = momentum * m - rate * gradient
        kernel = kernel + (momentum * m - rate * gradient if nesterov else m)
    np.testing.assert_allclose(stepped(ours, GRADIENTS, START), kernel, rtol=1e-5)


@pytest.mark.parametrize("name", ["adamw", "lamb", "lion", "muon"])
def test_one_cycle_moves_the_momentum_of_others(name: str) -> None:
    def after(momentum: tuple[float, float]) -> np.ndarray:
        section = Optim(optimizer=name, lr=0.1, weight_decay=0, schedule="one_cycle", cycle_momentum=momentum)
        built = optim.build(section, total_steps=3, steps_per_epoch=3, trainable=[])
        return stepped(built, [gradient.reshape(1, 1, 4, 3) for gradient in GRADIENTS], START.reshape(1, 1, 4, 3))

    assert not np.array_equal(after((0.1, 0.9)), after((0.9, 0.9)))


def test_lookahead_goes_back_half_the_way_every_two_updates() -> None:
    fields = {"optimizer": "sgd", "lr": 0.1, "momentum": 0.0, "weight_decay": 0, "warmup": 0, "schedule": "constant"}
    once, twice, thrice = (sum(GRADIENTS[:n]) for n in (1, 2, 3))
    back = START - 0.1 * twice / 2
    for count, expected in ((1, START - 0.1 * once), (2, back), (3, back - 0.1 * (thrice - twice))):
        built = optim.build(Optim(**fields, lookahead=2), total_steps=9, steps_per_epoch=9, trainable=[])
        np.testing.assert_allclose(stepped(built, GRADIENTS[:count], START), expected, rtol=1e-5)


def test_averages_warm_up() -> None:
    """The decay of update n is at most (1 + n) / (10 + n)."""

    def average(ema_warmup: bool, accumulate: int = 1) -> np.ndarray:
        variable = keras.Variable([1.0, 2.0])
        fields = {"optimizer": "sgd", "schedule": "constant", "warmup": 0, "weight_decay": 0, "momentum": 0}
        section = Optim(**fields, lr=0.1, ema=0.5, ema_warmup=ema_warmup)
        built = optim.build(section, total_steps=8, steps_per_epoch=8, trainable=[variable], accumulate=accumulate)
        for _ in range(3 * accumulate + accumulate - 1):
            built.apply([keras.ops.ones((2,))], [variable])
        ((_, mean),) = compat.moving_averages(built)
        return np.array(mean)

    def expected(*decays: float) -> np.ndarray:
        mean = np.array([0.9, 1.9])
        for count, decay in enumerate(decays, 2):
            mean = decay * mean + (1 - decay) * (np.array([1.0, 2.0]) - 0.1 * count)
        return mean

    np.testing.assert_allclose(average(True), expected(2 / 11, 3 / 12), rtol=1e-5)
    np.testing.assert_allclose(average(True, accumulate=2), expected(2 / 11, 3 / 12), rtol=1e-5)
    np.testing.assert_allclose(average(False), expected(0.5, 0.5), rtol=1e-5)


@pytest.mark.parametrize(
    ("optimizer", "accumulate", "fields"),
    [
        ("sgd", 1, {"clip_norm": 0.3, "schedule": "one_cycle"}),
        ("sgd", 2, {"clip_norm": 0.3, "lookahead": 2}),
        ("adamw", 2, {"clip_agc": 0.05, "ema": 0.9, "ema_warmup": True}),
        *(
            pytest.param(name, 2, {"clip_value": 0.2}, marks=pytest.mark.slow)
            for name in ("lamb", "lion", "rmsprop", "rmsprop_torch", "adafactor")
        ),
    ],
)
def test_replicas_update_as_one_device_does(optimizer: str, accumulate: int, fields: dict) -> None:
    """Each replica has its own part of the gradient: it is clipped, and accumulated, as their sum."""
    section = Optim(**{"optimizer": optimizer, "lr": 0.1, "warmup": 0, "schedule": "constant", **fields})

    def after(replicas: int) -> list[np.ndarray]:
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice())
        with strategy.scope() if replicas > 1 else contextlib.nullcontext():
            kernel = keras.Variable(START, name="kernel")
            built = optim.build(section, total_steps=9, steps_per_epoch=3, trainable=[kernel], accumulate=accumulate)
            built.build([kernel])

        @tf.function
        def step(gradient):
            if replicas == 1:
                built.apply([gradient], [kernel])
            else:

                def one():
                    first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
                    built.apply([tf.where(first, 0.75 * gradient, 0.25 * gradient)], [kernel])

                strategy.run(one)

        seen = []
        for gradient in GRADIENTS * accumulate:
            step(tf.constant(gradient))
            seen.append(kernel.numpy())
        assert accumulate == 1 or np.array_equal(seen[0], START), "half a group waits"
        return [np.array(variable.numpy()) for variable in (kernel, *built.variables)]

    for one, two in zip(after(1), after(2), strict=True):
        np.testing.assert_allclose(two, one, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"epsilon": 0.1},
            "--epsilon is for --optimizer adamw or lamb or rmsprop or rmsprop_torch, and this run has sgd",
        ),
        ({"decay_rate": 0.5}, "--decay-rate is for --schedule exponential, and this run has cosine"),
        ({"ema_warmup": True}, "--ema-warmup: there are no averaged weights"),
        ({"sam_adaptive": True}, "--sam-adaptive: there is no distance"),
        ({"lr_min": 0.2}, "--lr-min 0.2: expected at most the peak rate, which is 0.1"),
        ({"schedule": "plateau"}, "no val whose score"),
    ],
)
def test_options_of_other_optimizers_and_schedules_are_refused(fields: dict, message: str) -> None:
    section = Optim(**{"optimizer": "sgd", "schedule": "cosine", **fields})
    with pytest.raises(UserError, match=message):
        optim.check(section, has_val=False)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"clip_norm": 1, "clip_agc": 0.1}, "clip-norm and clip-agc: give one of them"),
        ({"cooldown": 2}, "cooldown: needs an lr-min above 0"),
        ({"lr": 0.1, "lr_min": 0.2}, "must not exceed lr"),
    ],
)
def test_options_that_exclude_each_other(fields: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Optim(**fields)
