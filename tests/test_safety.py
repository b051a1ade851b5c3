"""Nothing that somebody else made runs code here, fills memory, or leaves the folder it was given."""

import ast
import json
import zipfile
from pathlib import Path

import keras
import pytest

from kerascnn import fit, predict
from kerascnn.errors import CHECK_FAILED, USER_ERROR
from tests.artefacts import networks
from tests.data import odd_files
from tests.sources import FILES, PACKAGE, nodes

# The one place that unpickles, through an allow-list of four names (tests/models/test_pickled.py).
UNPICKLER = PACKAGE / "weights" / "pickled.py"
# The one place that runs code: of the file that --arch FILE.py:FUNCTION names, or of a run's own copy of it.
NETWORKS = PACKAGE / "models" / "functions.py"
ALLOWED = {UNPICKLER: ["pickle._Unpickler"], NETWORKS: ["exec"]}
SERIALIZERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "torch", "yaml"}
LOADS = {"load", "loads", "Unpickler", "_Unpickler", "open", "full_load", "unsafe_load"}


def dangers(path: Path) -> list[str]:
    """What in a file could run code from data."""
    found = []
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in SERIALIZERS:
            found += [f"{node.module}.{alias.name}" for alias in node.names if alias.name in LOADS]
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name = f"{node.value.id}.{node.attr}"
            if (node.value.id in SERIALIZERS and node.attr in LOADS) or name in (
                "os.system",
                "os.popen",
                "tempfile.mktemp",
            ):
                found.append(name)
        if isinstance(node, ast.Attribute) and node.attr in ("enable_unsafe_deserialization", "read_pickle"):
            found.append(node.attr)
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec", "__import__"):
                found.append(node.func.id)
            for keyword in node.keywords:
                value = keyword.value.value if isinstance(keyword.value, ast.Constant) else "?"
                if (keyword.arg, value) in (("allow_pickle", True), ("safe_mode", False), ("shell", True)):
                    found.append(f"{keyword.arg}={value}")
    return found


def test_no_data_is_code() -> None:
    assert {path: found for path in FILES if (found := dangers(path))} == ALLOWED


def test_the_search_for_dangers_finds_them(tmp_path: Path) -> None:
    code = """
import pickle, os, numpy as np
from joblib import load
pickle.loads(b""); pickle.load(f); np.load(f, allow_pickle=True); os.system("x"); eval("1")
keras.models.load_model(p, safe_mode=False); keras.config.enable_unsafe_deserialization()
"""
    (tmp_path / "bad.py").write_text(code)
    assert len(dangers(tmp_path / "bad.py")) == 8


def rewritten(path: Path, change, **files: bytes) -> Path:
    """A `.keras` file with its config changed and files added."""
    out = path.with_name(f"changed_{path.name}")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, change(json.loads(content)) if name == "config.json" else content)
        for name, content in files.items():
            new.writestr(name, content)
    return out


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("image") / "x.jpg"
    path.write_bytes(odd_files.encode(odd_files.photo(), "JPEG"))
    return str(path)


def test_a_network_with_code_of_its_own_is_refused(
    tmp_path: Path, image: str, capfd: pytest.CaptureFixture[str]
) -> None:
    touched = tmp_path / "touched"
    inputs = keras.Input((16, 16, 3))
    harmful = keras.layers.Lambda(lambda x, p=str(touched): (Path(p).touch(), x)[1], output_shape=(16, 16, 3))
    x = keras.layers.GlobalAveragePooling2D()(harmful(inputs))
    keras.Model(inputs, keras.layers.Dense(2, name="logits")(x)).save(tmp_path / "harmful.keras")
    touched.unlink(missing_ok=True)
    assert predict.main([str(tmp_path / "harmful.keras"), image]) == USER_ERROR
    out, err = capfd.readouterr()
    assert out == ""
    assert "harmful.keras cannot be loaded" in err
    assert "Lambda" in err
    assert "Traceback" not in err
    assert not touched.exists()


@pytest.mark.parametrize(
    "layer",
    [
        {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"},
        {"module": "builtins", "class_name": "function", "config": "exec", "registered_name": "exec"},
        {"module": "subprocess", "class_name": "Popen", "config": {"args": "touch TOUCHED", "shell": True}},
    ],
    ids=lambda layer: layer["module"],
)
def test_a_network_that_names_other_code_is_refused(layer: dict, tmp_path: Path, image: str, capfd) -> None:
    networks.tiny(size=16, classes=2).save(tmp_path / "network.keras")
    touched = tmp_path / "touched"

    def change(config: dict) -> str:
        config["config"]["layers"][1] = {
            **json.loads(json.dumps(layer).replace("TOUCHED", str(touched))),
            "name": config["config"]["layers"][1]["name"],
            "inbound_nodes": config["config"]["layers"][1]["inbound_nodes"],
        }
        return json.dumps(config)

    assert predict.main([str(rewritten(tmp_path / "network.keras", change)), image]) == USER_ERROR
    assert "cannot be loaded" in capfd.readouterr().err
    assert not touched.exists()


def test_a_network_with_files_that_climb_writes_nothing(tmp_path: Path, image: str, capfd) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    networks.tiny(size=16, classes=2).save(folder / "network.keras")
    climbing = rewritten(
        folder / "network.keras", json.dumps, **{"../../climbed.txt": b"x", "assets/../../climbed.txt": b"x"}
    )
    predict.main([str(climbing), image])
    assert not list(tmp_path.rglob("climbed*"))
    assert "Traceback" not in capfd.readouterr().err


def test_images_of_too_many_pixels_are_refused_before_they_are_decoded(tmp_path: Path, capfd) -> None:
    networks.tiny(size=16, classes=2).save(tmp_path / "network.keras")
    bombs = [odd for odd in odd_files.make(tmp_path / "odd") if odd.reason == "pixels"]
    assert {bomb.path.suffix for bomb in bombs} == {
        ".jpg", ".png", ".gif", ".bmp", ".webp", ".ppm", ".tga", ".tif", ".ico"
    }  # fmt: skip
    # 60,000 x 60,000 decoded are 10.8 GB each.
    assert predict.main([str(tmp_path / "network.keras"), *(str(bomb.path) for bomb in bombs)]) == CHECK_FAILED
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("are refused") == len(bombs)


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "/outside", ".."])
def test_a_run_that_would_leave_its_folder_is_refused(name: str, tmp_path: Path, capfd, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    words = ["--run", name, "--runs-dir", "runs", "--width", "0.25", "--epochs", "1"]
    assert fit.main(words) == USER_ERROR
    assert "folder" in capfd.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}
    assert not list((tmp_path / "runs").iterdir())
