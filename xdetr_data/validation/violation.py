"""A violation: which file and key, which rule, what is wrong, and the remedy where there is one."""

import msgspec

MAX_CHARS = 300  # of one message: a damaged file may hold anything

COPY_AGAIN = "copy the file again from where the dataset was built, or build again with --overwrite"
BUILD_AGAIN = "build again with --overwrite"
DELETE = "delete it"


class Violation(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One violation; ``rule`` is a stable name that programs may compare."""

    file: str
    rule: str
    what: str
    key: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        """One line for people."""
        where = f"{self.file}: {self.key}" if self.key else self.file
        line = f"{where}: {self.rule}: {self.what}"
        return f"{line}; {self.remedy}" if self.remedy else line


def violation(file: str, rule: str, what: str, *, key: str = "", remedy: str = "") -> Violation:
    """A violation whose texts are safe to print: one line, no control characters, at most ``MAX_CHARS``."""
    return Violation(file=printable(file), rule=rule, what=printable(what), key=printable(key), remedy=remedy)


def printable(text: str) -> str:
    """Text from a damaged file as one line that cannot control a terminal."""
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: MAX_CHARS + 1])
    return safe if len(safe) <= MAX_CHARS else f"{safe[:MAX_CHARS]}…"
