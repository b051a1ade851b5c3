"""The README and the pages of docs/ as texts, and what stands in them."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted(ROOT.glob("[CS]*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}
OURS = re.compile(r"python -m kerascnn\.(\w+)(.*)")


def blocks(language: str, text: str) -> list[str]:
    """The contents of a page's blocks in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.S | re.M)


def prose(text: str) -> str:
    """A page without its blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)


def spans(text: str) -> list[str]:
    """The inline code of a page."""
    return re.findall(r"`([^`]+)`", prose(text))


def typed(text: str) -> list[str]:
    """The commands of a page, a line each."""
    return [line.strip() for block in blocks("bash", text) for line in block.splitlines() if line.strip()]
