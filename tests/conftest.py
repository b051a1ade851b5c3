"""Two logical CPU devices for every test, so that replication runs on a laptop; the folder of real images, where there is one."""

import os
import threading
from pathlib import Path

import kerascnn  # noqa: F401  before TensorFlow, whose CPU kernels it chooses

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import pytest
import tensorflow as tf

TEST_DATA = "KERASCNN_TEST_DATA"  # a folder; docs/tests.md has its layout


def pytest_configure(config: pytest.Config) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _fresh_policy():
    """No test leaves its dtype policy or seed behind for the next one."""
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture(autouse=True)
def _no_open_phase():
    """No test leaves a phase open: its lines would stand in the output of a later test."""
    yield
    watching = [getattr(thread, "_target", None) for thread in threading.enumerate() if thread.name == "phases"]
    left = [phase for watch in watching if watch is not None for phase in watch.__self__.active().values()]
    for phase in left:
        phase.end()
    assert [phase.name for phase in left] == []


@pytest.fixture(scope="session")
def optional_data() -> Path | None:
    """The folder of real images that KERASCNN_TEST_DATA names, or None where it is not set."""
    if not os.environ.get(TEST_DATA):
        return None
    path = Path(os.environ[TEST_DATA]).resolve()
    if not path.is_dir():
        pytest.fail(f"{TEST_DATA}: expected a folder, got {path}")
    return path


@pytest.fixture(scope="session")
def real_data(optional_data: Path | None) -> Path:
    """The folder of real images; tests that need it skip where there is none."""
    if optional_data is None:
        pytest.skip(f"{TEST_DATA} is not set: docs/tests.md says what it holds")
    return optional_data
