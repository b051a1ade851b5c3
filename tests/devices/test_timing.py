"""Timings of calls whose duration is known, and of a network."""

import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerascnn.devices import timing


def sleeping(seconds: float, calls: list[float]):
    def call() -> None:
        calls.append(time.perf_counter())
        time.sleep(seconds)

    return call


def test_latency_leaves_warming_up_out():
    calls: list[float] = []

    def call() -> None:
        calls.append(0)
        time.sleep(0.1 if len(calls) <= 3 else 0.002)

    found = timing.latency(call, calls=10, warm=3)
    assert len(calls) == 13
    assert found.calls == 10
    assert 2 <= found.p50_ms <= found.p95_ms
    assert found.p50_ms < 60  # a busy machine oversleeps, but not by a cold call


def test_throughput_counts_images():
    assert timing.throughput(sleeping(0.02, []), images=10, seconds=0.1) <= 10 / 0.02


def test_rounds_take_turns():
    order: list[str] = []
    calls = {name: lambda name=name: order.append(name) or time.sleep(0.01) for name in "ab"}
    found = timing.interleaved(calls, rounds=3, seconds=0.02)
    assert {name: len(rounds) for name, rounds in found.items()} == {"a": 3, "b": 3}
    assert all(seconds >= 0.01 for rounds in found.values() for seconds in rounds)
    turns = "".join(order).replace("aa", "a").replace("bb", "b")
    assert turns.endswith("ababab")


@pytest.mark.parametrize("dtype", [None, "float32"])
def test_inference_runs_the_network(dtype):
    inputs = keras.Input((None, None, 3), dtype="uint8")
    outputs = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1.0)(inputs))
    logits = timing.inference(keras.Model(inputs, outputs), 4, 8, dtype)()
    assert isinstance(logits, np.ndarray)
    assert logits.shape == (4, 3)
    assert 50 < logits.mean() < 200


def test_peak_of_memory_grows_with_what_is_held():
    before = timing.peak_memory()
    kept = np.ones(40_000_000, np.uint8) * 2
    assert timing.peak_memory() >= before
    assert kept.sum() == 80_000_000
    assert 50e6 < timing.peak_memory() < 1e12  # bytes, not kilobytes


def test_peak_of_matrix_products():
    peak = timing.matmul_peak("float32", side=256, seconds=0.05)
    a = tf.ones((256, 256))
    start = time.perf_counter()
    tf.matmul(a, a).numpy()
    assert peak >= 2 * 256**3 / (time.perf_counter() - start) / 10
