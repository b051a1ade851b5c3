"""Escapes text from outside (class names, file names) for HTML, Markdown, file names and terminals. No TensorFlow.

A class is named after a folder, and a folder may have any name: `<script>`, `../../etc`, a line break, bytes that are not
UTF-8. All code that writes such a name into a page or a path uses these functions.
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
# Markdown's special characters: anywhere (CommonMark, section 6, and GitHub's table bars, $ and @), at a word's end (_), in a
# bare address (www.x, http:), at a line's start (headings, lists, underlines). Any ASCII punctuation may be escaped (section
# 2.4); other characters are left alone, so that sentences and numbers stay readable in the source.
_MARKDOWN = re.compile(
    r"[\\`*{}\[\]|~@^$]|(?<![^\W_])_|_(?![^\W_])|(?<=\w)\.(?=[^\W\d])|:(?=/)|!(?=\[)"
    r"|^[#+\-=:]|(?:(?<=^\d)|(?<=^\d\d)|(?<=^\d{3}))[.)](?=\s|$)"
)
# Device names of Windows, with any extension.
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
_NAME_BYTES, _DIGITS = 100, 8


def one_line(text: str) -> str:
    """Returns `text` on one line, with invisible characters, line breaks and bytes that are not UTF-8 as escapes.

    The result is safe to print on a terminal, which would interpret escape sequences.
    """
    return "".join(_shown(c) if unicodedata.category(c) in _INVISIBLE else c for c in text)


def printable(text: str) -> str:
    """Returns `text` for a terminal or a log: as `one_line`, but line breaks stay."""
    return "\n".join(one_line(line) for line in text.split("\n"))


def as_html(text: str) -> str:
    """Returns `text` for the content of an HTML element or a quoted attribute; nothing in it is markup."""
    return html.escape(one_line(text), quote=True)


def as_markdown(text: str) -> str:
    """Returns `text` for a line or a table cell of Markdown; nothing in it is markup, HTML or a link."""
    escaped = _MARKDOWN.sub(r"\\\g<0>", one_line(text).strip())
    return html.escape(escaped, quote=False)


def as_file_name(text: str) -> str:
    """Returns `text` as a file name: without separators, not hidden, not a device name, at most 100 bytes.

    Letters and digits of any language, `_`, `-`, `.` and inner spaces stay. If anything is removed, eight hexadecimal digits
    of the text's hash are appended, so that two texts never share a name.
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
    """Returns `folder / name`, which must be below `folder` after symbolic links are resolved.

    Raises:
        UserError: It is not: `..`, an absolute path, a link to another place, or the folder itself.
    """
    place = Path(folder, name)
    root, end = resolved(Path(folder)), resolved(place)
    if end == root or not end.is_relative_to(root):
        raise UserError(f"{one_line(os.fspath(name))!r} would leave {root}: expected a name below that folder")
    return place


def as_output(path: Path) -> Path:
    """Returns a path that TensorFlow writes to: its names must be UTF-8.

    Raises:
        UserError: A folder on the way has another name, as on old disks; standing in it or a link to it helps.
    """
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        raise UserError(
            f"{one_line(os.fspath(path))}: TensorFlow writes only to UTF-8 names: rename the folder, or give a link to it"
        ) from None
    return path


def resolved(path: Path) -> Path:
    """Returns `path.resolve()`.

    Raises:
        OSError: The links form a loop, which is a RuntimeError without a file name in Python before 3.13.
    """
    try:
        return path.resolve()
    except RuntimeError:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None


def expanded(path: str | os.PathLike[str]) -> Path:
    """Returns a path with `~` or `~USER` replaced by the home folder, unless a file with that literal name exists.

    Raises:
        UserError: There is no such user, or the user has no home folder (a container without HOME).
    """
    found = Path(path)
    if not str(found).startswith("~") or os.path.lexists(found):
        return found
    try:
        return found.expanduser()
    except RuntimeError:
        owner = found.parts[0].removeprefix("~")
        what = f"there is no user {owner!r}" if owner else "the user has no home folder (HOME is not set)"
        raise UserError(f"{one_line(str(found))}: {what}: give the whole path") from None


def _shown(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(
        character, f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    )
