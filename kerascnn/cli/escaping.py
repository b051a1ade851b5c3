"""Text from outside (class names, file names) put where it could mean something: HTML, Markdown, file names, a terminal.

A class is a folder's name, and a folder may be called anything: `<script>`, `../../etc`, a line break, bytes that are no UTF-8.
Whoever writes such a name into a page or a path does it through these functions. No TensorFlow.
"""

import errno
import hashlib
import html
import os
import re
import unicodedata
from pathlib import Path

from kerascnn.errors import UserError

# Control, format (bidirectional overrides, zero width), surrogate, private and unassigned characters, line and paragraph breaks.
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# What means something in Markdown: anywhere (CommonMark, section 6; tables' bar, math's $ and extended autolinks' @ of GitHub's
# kind), beside a word's end (_), in a bare address (www.x, http:), at a line's start (headings, lists, underlines). Every ASCII
# punctuation mark may be escaped (section 2.4); the rest is not, so that sentences and numbers stay readable in the source.
_MARKDOWN = re.compile(
    r"[\\`*{}\[\]|~@^$]|(?<![^\W_])_|_(?![^\W_])|(?<=\w)\.(?=[^\W\d])|:(?=/)|!(?=\[)"
    r"|^[#+\-=:]|(?:(?<=^\d)|(?<=^\d\d)|(?<=^\d{3}))[.)](?=\s|$)"
)
# Names that Windows gives to devices, with any ending.
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
_NAME_BYTES, _DIGITS = 100, 8


def one_line(text: str) -> str:
    """`text` as printable characters on one line: what is invisible, breaks lines or is no UTF-8 is shown as an escape.

    Safe to print on a terminal, which would obey escape sequences.
    """
    return "".join(_shown(c) if unicodedata.category(c) in _INVISIBLE else c for c in text)


def printable(text: str) -> str:
    """`text` for a terminal or a log: its line breaks stay, whatever else is invisible is shown as by `one_line`."""
    return "\n".join(one_line(line) for line in text.split("\n"))


def as_html(text: str) -> str:
    """`text` for an HTML element's content or a quoted attribute; nothing in it is markup."""
    return html.escape(one_line(text), quote=True)


def as_markdown(text: str) -> str:
    """`text` for a line or a table cell of Markdown; nothing in it is markup, HTML or a link."""
    escaped = _MARKDOWN.sub(r"\\\g<0>", one_line(text).strip())
    return html.escape(escaped, quote=False)


def as_file_name(text: str) -> str:
    """`text` as one file or folder name: no separators, not hidden, no device's name, at most 100 bytes.

    Letters, digits, `_`, `-`, `.` and inner spaces of any language stay. Where something had to go, eight hexadecimal digits
    of the whole text follow, so that two texts never share a name.
    """
    plain = unicodedata.normalize("NFC", re.sub(r"[^\w. -]+", "-", one_line(text))).strip(" .-")
    if _DEVICES.match(plain):
        plain = f"_{plain}"
    plain = plain.encode()[:_NAME_BYTES].decode(errors="ignore").rstrip(" .-")
    if plain and plain == text:
        return plain
    digits = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    shortened = plain.encode()[: _NAME_BYTES - _DIGITS - 1].decode(errors="ignore")
    return f"{shortened}-{digits}".lstrip("-")


def within(folder: str | os.PathLike[str], name: str | os.PathLike[str]) -> Path:
    """`folder / name`, which must lie below `folder`, symbolic links followed.

    Raises:
        UserError: It does not: `..`, an absolute path, a link that leads away, or the folder itself.
    """
    place = Path(folder, name)
    root, end = resolved(Path(folder)), resolved(place)
    if end == root or not end.is_relative_to(root):
        raise UserError(f"{one_line(os.fspath(name))!r} would leave {root}: expected a name below that folder")
    return place


def resolved(path: Path) -> Path:
    """`path.resolve()`, symbolic links followed.

    Raises:
        OSError: The links lead in a circle; Python before 3.13 calls that a RuntimeError without a file name.
    """
    try:
        return path.resolve()
    except RuntimeError:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None


def expanded(path: str | os.PathLike[str]) -> Path:
    """A path with `~` and `~USER` replaced by the home folder, unless something of that very name is there.

    Raises:
        UserError: There is no such user, or this one has no home (a container without HOME).
    """
    found = Path(path)
    if not str(found).startswith("~") or os.path.lexists(found):
        return found
    try:
        return found.expanduser()
    except RuntimeError:
        owner = found.parts[0].removeprefix("~")
        what = f"there is no user {owner!r}" if owner else "this user has no home folder (HOME is not set)"
        raise UserError(f"{one_line(str(found))}: {what}: give the whole path") from None


def _shown(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is no UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(
        character, f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    )
