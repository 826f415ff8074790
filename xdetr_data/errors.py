"""Errors that reach a user. Each message is one line: what (file, key), what is wrong, and the remedy.

Addresses stand in it as they may be seen, without secrets.

XdetrDataError (a ValueError: the input, not the code, is at fault)
├── InputError          an input file cannot be used
├── ConfigError         options that contradict each other or are unknown
├── OutputError         the output folder is in the way, full, or belongs to another configuration
└── RecordError         a record breaks one of its own rules (an index, a span, a box)
"""

import re

# A presigned address carries its signature in the query; of a path (``s3://bucket/0?.tar``), ``?`` is a wildcard.
_ADDRESS = re.compile(
    r"""(?P<protocol>[A-Za-z][A-Za-z0-9+.-]*)://
    (?P<user>(?:(?!::)[^\s/'"<>])*@)?
    (?P<place>(?:(?!::)[^\s?\#'"<>])*)
    (?P<query>[?\#](?:(?!::)[^\s'"<>])*?(?=[.:;,)]*(?:::|[\s'"<>]|$)))?""",
    re.VERBOSE,
)
_PLACES = frozenset({"file", "local", "memory", "zip", "tar", "libarchive", "github", "git"})  # names may hold @ ? #
_WEB = frozenset({"http", "https", "ftp", "ftps", "webdav", "webhdfs", "dav"})


class XdetrDataError(ValueError):
    """Base of every error that is the input's fault; its text is one line for the user."""

    def __init__(self, message: str = "") -> None:
        super().__init__(shown(message))


class InputError(XdetrDataError):
    """An input file is missing, truncated or not of the stated format."""


class ConfigError(XdetrDataError):
    """Options that contradict each other or do not exist."""


class OutputError(XdetrDataError):
    """The output folder cannot be written or belongs to another run."""


class RecordError(XdetrDataError):
    """A record breaks one of its own rules."""


def shown(text: str) -> str:
    """A text with every address in it as it may be seen."""
    return _ADDRESS.sub(_shown, text) if "://" in text else text


def _shown(match: re.Match[str]) -> str:
    protocol, user, place, query = match.group("protocol", "user", "place", "query")
    if protocol.lower() in _PLACES:
        return match[0]
    kept = "" if protocol.lower() in _WEB or "=" in (query or "") else query or ""
    return f"{protocol}://{place}{kept}" if user or query != kept else match[0]
