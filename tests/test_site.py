"""The site holds every page of docs/, and what these link to; it builds without a warning."""

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.pages import ROOT, TEXTS

SITE = ROOT / "docs/site"


def builder() -> Any:
    """The script docs/site/build.py as a module."""
    spec = importlib.util.spec_from_file_location("build_site", SITE / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def listed(nav: list[dict[str, Any]]) -> set[str]:
    """The pages of a navigation."""
    found: set[str] = set()
    for entry in nav:
        for place in entry.values():
            found |= listed(place) if isinstance(place, list) else {place}
    return found


def test_every_page_is_in_the_navigation() -> None:
    nav = tomllib.loads((SITE / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    made = {f"docs/reference/{name}.md" for name in builder().REFERENCE}
    shown = set(TEXTS) - {"CODE_OF_CONDUCT.md"}  # SECURITY.md and CONTRIBUTING.md link it
    assert listed(nav) == shown | made | {"CHANGELOG.md"}


def test_what_pages_link_to_is_copied(tmp_path: Path) -> None:
    builder().collect(tmp_path)
    copied = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert set(TEXTS) <= copied
    assert {"experiments/results/speed.md", "docs/pictures/how_it_works.png", "LICENSE"} <= copied
    assert not any(name.endswith(".py") for name in copied)


@pytest.mark.slow
def test_it_builds_without_a_warning() -> None:
    pytest.importorskip("zensical", reason="needs the extra docs")
    pytest.importorskip("mkdocstrings", reason="needs the extra docs")
    done = subprocess.run([sys.executable, str(SITE / "build.py")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (ROOT / "build/site/docs/reference/layers.html").read_text(encoding="utf-8")
    assert "Bottleneck" in page
    assert "https://fonts" not in page
