"""Settings of other programs: which are fixed, which are respected."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kerascnn.cli import ambient

CODE = """
import json
from kerascnn.cli.screen import quiet
with quiet():
    import keras
from kerascnn.cli import ambient
c = keras.config
print(json.dumps([c.backend(), c.image_data_format(), c.floatx(), c.epsilon(), c.max_epochs(), c.max_steps_per_epoch(),
                  ambient.overridden()]))
"""


@pytest.mark.parametrize(
    ("given", "left", "changed"),
    [
        ({}, {"KERAS_BACKEND": "tensorflow"}, {}),
        ({"KERAS_BACKEND": "tensorflow"}, {"KERAS_BACKEND": "tensorflow"}, {}),
        ({"KERAS_BACKEND": "jax"}, {"KERAS_BACKEND": "tensorflow"}, {"KERAS_BACKEND": "jax"}),
        (
            {"KERAS_MAX_EPOCHS": "1", "HOME": "/x"},
            {"KERAS_BACKEND": "tensorflow", "HOME": "/x"},
            {"KERAS_MAX_EPOCHS": "1"},
        ),
        ({"TF_USE_LEGACY_KERAS": "1"}, {"KERAS_BACKEND": "tensorflow"}, {"TF_USE_LEGACY_KERAS": "1"}),
        (
            {"TF_XLA_FLAGS": "--tf_xla_auto_jit=2"},
            {"KERAS_BACKEND": "tensorflow", "TF_XLA_FLAGS": "--tf_xla_auto_jit=2"},
            {},
        ),
    ],
)
def test_variables_are_fixed_or_left_alone(given, left, changed):
    environment = dict(given)
    assert ambient.fix_variables(environment) == changed
    assert environment == left


def test_keras_makes_no_folder_where_there_is_no_home():
    """In a container without HOME and user, `~/.keras` would be a folder `~` in the current one."""
    environment: dict[str, str] = {}
    ambient.give_keras_a_home("/home/somebody", environment)
    assert environment == {}
    ambient.give_keras_a_home("~", environment)
    assert Path(environment["KERAS_HOME"]).is_absolute()
    ambient.give_keras_a_home("~", given := {"KERAS_HOME": "/elsewhere"})
    assert given == {"KERAS_HOME": "/elsewhere"}


def test_no_variable_is_both_fixed_and_respected():
    assert not ambient.FIXED.keys() & set(ambient.RESPECTED)


@pytest.mark.training
def test_keras_starts_with_this_programs_settings(tmp_path):
    (tmp_path / "keras.json").write_text(
        json.dumps({"floatx": "float16", "epsilon": 1e-3, "backend": "jax", "image_data_format": "channels_first"})
    )
    others = {"KERAS_HOME": str(tmp_path), "KERAS_MAX_EPOCHS": "1", "KERAS_MAX_STEPS_PER_EPOCH": "2"}
    out = subprocess.run(
        [sys.executable, "-c", CODE], env={**os.environ, **others}, capture_output=True, text=True, check=True
    )
    *found, overridden = json.loads(out.stdout)
    assert found == ["tensorflow", "channels_last", "float32", 1e-7, None, None]
    assert overridden == {
        "KERAS_MAX_EPOCHS": "1",
        "KERAS_MAX_STEPS_PER_EPOCH": "2",
        "keras.json image_data_format": "channels_first",
        "keras.json floatx": "float16",
        "keras.json epsilon": "0.001",
    }
