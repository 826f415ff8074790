"""Errors that reach a user of the model. Each message is one line: what, what is wrong with it, and the remedy.

XdetrModelError (a ValueError: the input, not the code, is at fault)
├── ModelConfigError    a value of the configuration is unknown or contradicts another
├── CheckpointError     a checkpoint directory or hub name cannot be loaded, or is not safe to load
├── TargetError         boxes, spans or indices given to the loss break their own rules
├── PhotoError          a photo is of a kind that cannot be turned into RGB pixels
├── NonFiniteError      the network produced NaN or infinity
└── OutOfMemoryError    one photo (or one text) alone does not fit on the device
"""


class XdetrModelError(ValueError):
    """Base of every error that is the input's fault; its text is one line for the user."""


class ModelConfigError(XdetrModelError):
    """A value of the configuration is unknown or contradicts another."""


class CheckpointError(XdetrModelError):
    """A checkpoint cannot be loaded, or is not safe to load."""


class TargetError(XdetrModelError):
    """Boxes, spans or indices given to the losses or to a grounder break their own rules."""


class PhotoError(XdetrModelError):
    """A photo is of a kind that cannot be turned into RGB pixels."""


class NonFiniteError(XdetrModelError):
    """The network produced NaN or infinity."""


class OutOfMemoryError(XdetrModelError):
    """One photo alone does not fit on the device."""


def one_line(error: BaseException) -> str:
    """The first non-empty line of an error's text, for quoting inside a message of ours."""
    if "trust_remote_code" in str(error):
        return "it brings code of its own, which is never run; give a checkpoint of a model that transformers has"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
