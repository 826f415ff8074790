"""Errors that reach a user. Each message is one line: what (file, key), what is wrong, and the remedy.

XdetrDataError (a ValueError: the input, not the code, is at fault)
├── InputError          an input file cannot be used
├── ConfigError         options that contradict each other or are unknown
├── OutputError         the output folder is in the way, full, or belongs to another configuration
└── RecordError         a record breaks one of its own rules (an index, a span, a box)
"""


class XdetrDataError(ValueError):
    """Base of every error that is the input's fault; its text is one line for the user."""


class InputError(XdetrDataError):
    """An input file is missing, truncated or not of the stated format."""


class ConfigError(XdetrDataError):
    """Options that contradict each other or do not exist."""


class OutputError(XdetrDataError):
    """The output folder cannot be written or belongs to another run."""


class RecordError(XdetrDataError):
    """A record breaks one of its own rules."""
