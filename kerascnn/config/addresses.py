"""Addresses of data that are not local: which texts are such addresses, and which contain credentials."""

import re

_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_USER = re.compile(r"(?<=://)[^/@\s?#]*@")
# Parts of addresses that give access by themselves: signed links of S3, Google and Azure, tokens.
_SECRET = re.compile(
    r"(?i)[?&]([\w.-]*(?:sig|signature|token|secret|password|credential|access_?key|api_?key)[\w.-]*)=[^&\s'\"]*"
)


def is_remote(text: str) -> bool:
    """Returns whether a text is the address of something that is not local, such as s3://bucket/photos.csv."""
    return _REMOTE.match(text) is not None and not text.startswith("file://")


def has_secrets(text: str) -> bool:
    """Returns whether an address contains a user name, a password, a token or a signature."""
    return "://" in text and (_USER.search(text) is not None or _SECRET.search(text) is not None)


def without_secrets(text: str) -> str:
    """Returns a text without the credentials of the addresses in it."""
    return _SECRET.sub(lambda found: f"{found[0][0]}{found[1]}=...", _USER.sub("", text))
