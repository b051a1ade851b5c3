"""Two logical CPU devices for every test, so that replication runs on a laptop; the real images beside the checkout."""

import os
from pathlib import Path

import kerascnn  # noqa: F401  before TensorFlow, whose CPU kernels it chooses

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import pytest
import tensorflow as tf

ROOT = Path(__file__).resolve().parents[1]


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


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images beside the checkout; tests that need it skip where it is missing."""
    path = ROOT.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"no real images at {path.relative_to(ROOT.parent)}: only beside a developer's checkout")
    return path
