"""What is installed: recipes by name from a checkout and from a wheel; nothing beside the checkout in tracked files."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from kerascnn.cli.recipes import load_recipe, recipe_path

ROOT = Path(__file__).resolve().parents[1]


def test_recipes_by_name_from_a_checkout() -> None:
    assert load_recipe("quick").fit.epochs == 3
    assert recipe_path("quick.toml") == recipe_path("quick")


def test_every_recipe_loads() -> None:
    recipes = sorted((ROOT / "kerascnn" / "recipes").glob("*.toml"))
    assert recipes
    for path in recipes:
        assert load_recipe(path)


@pytest.mark.slow
def test_a_wheel_carries_recipes_images_and_licenses(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(pip, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
        file.extractall(tmp_path / "site")
    assert "kerascnn/py.typed" in names, "type checkers read the annotations of a package with this mark"
    assert {name.split("/")[0] for name in names} == {
        "kerascnn",
        next(n for n in names if "dist-info" in n).split("/")[0],
    }
    assert wheel.stat().st_size < 8e6, "3.9 MB, of which 3.1 are the embedded images"
    assert "kerascnn/recipes/quick.toml" in names
    assert {"kerascnn/demo/model.keras", "kerascnn/demo/assets/metadata.json", "kerascnn/demo/MODEL_CARD.md"} <= names
    assert "kerascnn/spaces/resnet_filters.toml" in names
    assert "kerascnn/data/fashion_mnist_mini/fashion_mnist_mini.npz" in names
    assert "kerascnn/report/templates/page.html" in names
    assert {f"kerascnn/serving/page/{name}" for name in ("index.html", "main.js", "style.css")} <= names
    assert "kerascnn/data/fashion_mnist_mini/copyright" in names
    command = [sys.executable, "-m", "kerascnn.fit", "--config", "quick", "--print-config"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert "width = 0.25" in done.stdout


def test_tracked_files_hold_no_path_beside_the_checkout_and_no_registry() -> None:
    """`.ci/run` alone looks beside the checkout, for the images of the tests (docs/tests.md)."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    pattern = re.compile(
        r"/(?:work|farm|root)/|\.\./shared|(?:py" + r"pi|pythonhosted|registry\.npmjs|deb\.debian)\.(?:org|com)"
    )
    for name in listed.stdout.split("\n"):
        path = ROOT / name
        if (
            path.suffix in (".py", ".toml", ".md", ".txt", ".csv", ".json", ".jsonl", ".html", ".sh")
            and path.is_file()
            and path != Path(__file__).resolve()
        ):
            assert not pattern.search(path.read_text(encoding="utf-8")), name
