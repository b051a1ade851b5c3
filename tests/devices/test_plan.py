"""The decision about devices is a table: no GPU is needed to test it."""

import pytest

from kerascnn.config import Devices
from kerascnn.devices.cluster import Cluster
from kerascnn.devices.plan import Hardware, decide, setup
from kerascnn.errors import UserError

AMX = frozenset({"amx_bf16", "avx512f"})
A100, V100, P100 = ("A100", (8, 0)), ("V100", (7, 0)), ("P100", (6, 0))


@pytest.mark.parametrize(
    ("gpus", "flags", "asked", "expected"),
    [
        ((), frozenset(), {}, ("cpu", 1, "float32", False)),
        ((), AMX, {}, ("cpu", 1, "mixed_bfloat16", False)),
        ((), frozenset({"avx512_bf16"}), {}, ("cpu", 1, "mixed_bfloat16", False)),
        ((), AMX, {"dtype": "float32"}, ("cpu", 1, "float32", False)),
        ((), AMX, {"devices": "cpu:2"}, ("cpu", 2, "mixed_bfloat16", False)),
        ((), AMX, {"jit": "on"}, ("cpu", 1, "mixed_bfloat16", True)),
        ((A100,), AMX, {}, ("gpu", 1, "mixed_bfloat16", True)),
        ((A100,), AMX, {"jit": "off"}, ("gpu", 1, "mixed_bfloat16", False)),
        ((A100,), AMX, {"devices": "cpu"}, ("cpu", 1, "mixed_bfloat16", False)),
        ((V100,), AMX, {}, ("gpu", 1, "mixed_float16", True)),
        ((P100,), AMX, {}, ("gpu", 1, "float32", True)),
        ((A100, V100), AMX, {}, ("gpu", 2, "mixed_float16", False)),  # the older one decides
        ((A100,) * 4, AMX, {}, ("gpu", 4, "mixed_bfloat16", False)),
        ((A100,) * 4, AMX, {"devices": "gpu:1"}, ("gpu", 1, "mixed_bfloat16", True)),
        ((A100,) * 4, AMX, {"devices": "gpu"}, ("gpu", 4, "mixed_bfloat16", False)),
    ],
)
def test_decisions(gpus, flags, asked, expected) -> None:
    plan = decide(Hardware(gpus, flags, 2), Devices(**asked), batch_size=64)
    assert (plan.kind, plan.replicas, plan.policy, plan.jit) == expected
    assert plan.policy in plan.reason


@pytest.mark.parametrize(
    ("gpus", "asked", "batch", "message"),
    [
        ((), {"devices": "gpu"}, 64, "sees no GPU"),
        ((A100,), {"devices": "gpu:2"}, 64, "only 1 GPU"),
        ((A100,) * 3, {}, 64, "does not divide over 3 replicas: 63 does"),
        ((), {"devices": "cpu:2", "jit": "on"}, 64, "no XLA under a strategy"),
        ((V100,) * 2, {"jit": "on"}, 64, "keras#21366"),
        ((), {"devices": "cpu:8"}, 4, "does not divide over 8 replicas: 8 does"),
    ],
)
def test_refusals(gpus, asked, batch, message) -> None:
    with pytest.raises(UserError, match=message):
        decide(Hardware(gpus, AMX, 2), Devices(**asked), batch)


@pytest.mark.parametrize(
    ("gpus", "asked", "batch", "replicas", "message"),
    [
        ((), {}, 60, 3, ""),
        ((A100,), {}, 60, 3, ""),
        ((A100,) * 4, {}, 60, 12, ""),
        ((A100,) * 4, {"devices": "gpu:2"}, 60, 6, ""),
        ((), {"devices": "cpu:2"}, 60, 0, "each has one CPU device; give --devices cpu"),
        ((A100,) * 4, {}, 64, 0, "does not divide over 12 replicas: 60 does"),
        ((A100,), {"jit": "on"}, 60, 0, "no XLA under a strategy"),
    ],
)
def test_three_hosts(gpus, asked, batch, replicas, message) -> None:
    cluster = Cluster(("a:1", "b:1", "c:1"), 1, "test")
    if message:
        with pytest.raises(UserError, match=message):
            decide(Hardware(gpus, AMX, 2), Devices(**asked), batch, cluster)
        return
    plan = decide(Hardware(gpus, AMX, 2), Devices(**asked), batch, cluster)
    assert (plan.workers, plan.replicas, plan.jit) == (3, replicas, False)
    assert "cluster" not in plan.facts()
    assert plan.facts()["workers"] == 3


def test_more_logical_devices_than_tensorflow_started_with() -> None:
    import tensorflow as tf

    tf.config.list_logical_devices()  # the tests' process has two
    assert setup(Devices(devices="cpu:2"), 64).replicas == 2
    with pytest.raises(UserError, match="use a new process"):
        setup(Devices(devices="cpu:8"), 64)
