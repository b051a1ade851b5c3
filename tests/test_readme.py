"""The README and the pages of docs/: links, names, flags and paths exist, and their Python runs."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from kerascnn.__main__ import COMMANDS, main
from kerascnn.architectures.tables import ARCHS
from kerascnn.errors import DONE
from tests.pages import OURS, PAGES, ROOT, TEXTS, blocks, prose, spans, typed

# Commands of a block that are not kerascnn's: the environment, which .ci/run makes, and what this file is run by.
OTHERS = re.compile(
    r"python3 -m venv \.venv && \. \.venv/bin/activate|pip install (-c constraints\.txt )?-e (\.|\"\.\[[\w,]+\]\")"
    r"|(KERASCNN_TEST_DATA=FOLDER )?python -m pytest .*|python docs/site/build\.py|ruff check \.|ruff format --check \.|mypy"
)
# What runs and exports leave behind, which the pages name and no checkout has.
MADE = (
    *("experiments/runs", "experiments/folds", "experiments/audits", "experiments/comparisons", "experiments/searches"),
    "saved_models",
)


def test_the_library_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """A new process opens the file of the first one in tests/layers/test_contract.py."""
    examples = [block for text in TEXTS.values() for block in blocks("python", text)]
    assert len(examples) == 2
    monkeypatch.chdir(tmp_path)
    exec("\n".join(examples), {})
    assert capsys.readouterr().out.strip() == "(1, 10) (None, 8, 8, 32)"
    assert (tmp_path / "mine.keras").exists()


def test_the_readme_is_for_five_minutes() -> None:
    assert len(TEXTS["README.md"].splitlines()) <= 170


@pytest.mark.parametrize("page", TEXTS)
def test_no_command_of_a_block_is_left_unknown(page: str) -> None:
    unknown = [line for line in typed(TEXTS[page]) if not OURS.fullmatch(line) and not OTHERS.fullmatch(line)]
    assert not unknown
    assert set(re.findall(r"^```(\w*)$", TEXTS[page], re.M)) <= {"", "bash", "text", "toml", "python"}
    assert not re.search(r"^(    |\t)(python|kerascnn|pip) ", prose(TEXTS[page]), re.M), "a command outside a block"


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(TEXTS[page])):
        place, _, anchor = link.partition("#")
        target = (ROOT / page).parent / place if place else ROOT / page
        assert not re.match(r"\w+:", link), f"{link}: no page depends on another site"
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


def test_every_page_can_be_reached_from_the_index() -> None:
    index = TEXTS["docs/index.md"]
    missing = [
        page.name
        for page in PAGES
        if page.name not in ("README.md", "index.md") and not re.search(rf"\((\.\./)?{page.name}\)", index)
    ]
    assert not missing


@pytest.fixture(scope="module")
def known_flags() -> set[str]:
    """The flags of all commands, as their help shows them."""
    flags = {
        "--help",
        "--help-all",
        "--print-config",
        "--version",
        "--install-completion",
        "--print-completion",
        "--logdir",
    }
    for command in COMMANDS:
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            assert main([command, "--help-all"]) == DONE
        for negated in ("no-", ""):
            flags |= set(re.findall(r"--[a-z][\w-]*", shown.getvalue().replace("[no-]", negated)))
    return flags


@pytest.mark.parametrize("page", TEXTS)
def test_flags_in_the_text_exist(page: str, known_flags: set[str]) -> None:
    named = {flag for span in spans(TEXTS[page]) for flag in re.findall(r"(?<![\w-])--[a-z][\w-]*", span)}
    assert not named - known_flags


@pytest.mark.parametrize("page", TEXTS)
def test_paths_in_the_text_exist(page: str) -> None:
    words = {word for code in spans(TEXTS[page]) + typed(TEXTS[page]) for word in code.split()}
    paths = {
        word for word in words if re.match(r"(experiments|examples|docs|tests|kerascnn|saved_models)/[\w./-]+", word)
    }
    missing = [path for path in paths if not path.startswith(MADE) and not (ROOT / path).exists()]
    assert not missing


def test_every_network_stands_on_its_page_and_is_counted() -> None:
    assert {f"`{arch}`" for arch in ARCHS} <= set(re.findall(r"`\w+`", TEXTS["docs/networks.md"]))
    counts = {
        count
        for text in TEXTS.values()
        for count in re.findall(r"(?<!ensemble of )\b(\d+) networks|lists all (\d+)", text)
    }
    assert {int(count) for pair in counts for count in pair if count} == {len(ARCHS)}


def test_extras_in_the_text_exist() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    table = project.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    known = set(re.findall(r"^(\w+) = \[", table, re.M))
    text = "\n".join(TEXTS.values())
    named = {extra for group in re.findall(r"\.\[([\w,]+)\]", text) for extra in group.split(",")}
    assert named <= known
