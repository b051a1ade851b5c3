"""Names of any kind put into pages, paths and terminals mean nothing there."""

import html.parser
import os
import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from kerascnn.cli import escaping
from kerascnn.cli.escaping import expanded, resolved, within
from kerascnn.errors import UserError

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "a&lt;b&amp;",
    "[click](javascript:alert(1))",
    "![x](http://evil.example/x.png)",
    "www.evil.example and https://evil.example",
    "a | b",
    "# not a heading",
    "1. not a list",
    "    not code",
    "`code` **bold** ~~gone~~ $x^2$",
    "line\nbreak\r\n\n- item",
    "../../etc/passwd",
    "/etc/passwd",
    "..",
    ".",
    ".hidden",
    "",
    " ",
    "con",
    "NUL.txt",
    "a" * 400,
    "图" * 90,
    "nul\0byte",
    "\x1b[31mred\x1b]0;title\x07",
    "\u202egnp.exe",
    os.fsdecode(b"not_utf8_\xff"),
    "C:\\windows\\x",
)
PLAIN = ("Golden Retriever", "T-shirt_top", "class.1", "Grüße 图", "n01440764")


class Seen(html.parser.HTMLParser):
    """Tags, and text as a reader sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", HOSTILE + PLAIN, ids=ascii)
def test_html_shows_the_name_and_nothing_else(name: str) -> None:
    seen = Seen()
    seen.feed(f'<p title="{escaping.as_html(name)}">{escaping.as_html(name)}</p>')
    seen.close()
    assert seen.tags == ["p"]
    assert seen.attributes == [("title", escaping.one_line(name))]
    assert seen.text == escaping.one_line(name)


@pytest.mark.parametrize("name", HOSTILE + PLAIN, ids=ascii)
def test_terminals_get_one_printable_line(name: str) -> None:
    shown = escaping.one_line(name)
    assert shown.isprintable()
    shown.encode("utf-8")
    if name in PLAIN:
        assert shown == name


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_markdown_has_no_mark_left(name: str) -> None:
    escaped = escaping.as_markdown(name)
    assert "<" not in escaped
    assert escaped == escaped.strip()
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    assert html.unescape(parser.renderInline(escaped)) == escaping.one_line(name).strip()
    tokens = parser.parse(escaped)
    assert {token.type for token in tokens} <= {"paragraph_open", "inline", "paragraph_close"}
    row = parser.parse(f"| a | b |\n|---|---|\n| {escaped} | 1 |")
    assert [token.content for token in row if token.type == "inline"][3:] == ["1"]


@pytest.mark.parametrize("address", ["www.example.org", "http://example.org", "x@example.org", "HTTPS://example.org"])
def test_markdown_makes_no_address_a_link(address: str) -> None:
    """GitHub links bare addresses (GitHub Flavored Markdown, section 6.9), which the parser above does not."""
    escaped = escaping.as_markdown(address)
    assert not re.search(r"(?i)www\.|[^\\]://|[^\\]@", escaped)


def test_markdown_stays_readable() -> None:
    for text in ("Golden Retriever", "81.8, 82.8", "inception_small", "T-shirt/top: 1.6 points [0.8, 2.4]"):
        assert escaping.as_markdown(text).replace("\\[", "[").replace("\\]", "]") == text
    assert escaping.as_markdown("a<b & c|d") == r"a&lt;b &amp; c\|d"
    assert escaping.as_markdown("- no list") == r"\- no list"
    assert escaping.as_markdown("12. no list") == r"12\. no list"


def test_file_names_are_plain_short_and_distinct(tmp_path: Path) -> None:
    names = {name: escaping.as_file_name(name) for name in HOSTILE + PLAIN}
    assert len(set(names.values())) == len(names)
    for text, name in names.items():
        assert len(name.encode()) <= 100
        assert name == Path(name).name, text
        assert not name.startswith((".", "-", " "))
        assert name.split(".")[0].lower() not in ("con", "nul")
        escaping.within(tmp_path, name).write_text(text, encoding="utf-8", errors="surrogatepass")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names.values())
    for name in PLAIN:
        assert names[name] == name


@pytest.mark.parametrize("name", ["..", "../x", "a/../../x", "/etc/passwd", "", ".", "away/x"])
def test_a_path_that_leaves_is_refused(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "away").symlink_to(tmp_path)
    with pytest.raises(UserError, match="would leave"):
        escaping.within(folder, name)


def test_a_path_below_stays(tmp_path: Path) -> None:
    assert escaping.within(tmp_path, "a/../b.png") == tmp_path / "a/../b.png"
    assert escaping.within(tmp_path / "not yet", "b.png") == tmp_path / "not yet" / "b.png"


def test_a_place_that_tensorflow_cannot_write_to_is_a_message() -> None:
    assert escaping.as_output(Path("Grüße/图")) == Path("Grüße/图")
    with pytest.raises(UserError, match=r"caf\\xe9/runs: .*link"):
        escaping.as_output(Path(os.fsdecode(b"caf\xe9/runs")))


def test_a_home_that_is_nobodys_is_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"~nosuchuser/photos: there is no user 'nosuchuser'"):
        expanded("~nosuchuser/photos")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/photos") == tmp_path / "photos"
    monkeypatch.chdir(tmp_path)
    Path("~old").mkdir()  # a folder of that very name
    assert expanded("~old") == Path("~old")


def test_links_in_a_circle_name_the_path(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    with pytest.raises(OSError, match=r"symbolic links.*loop"):
        resolved(loop)
    with pytest.raises(OSError, match=r"symbolic links.*loop"):
        within(tmp_path, "loop")
