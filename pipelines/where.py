"""Filters that people write, as in ``source=coco and score<0.3``. Parsed, never evaluated as code.

Conditions are joined by ``and``; each is ``FIELD OP VALUE``, a value with spaces in quotes. Which fields there are, and
which of them are numbers, is the caller's to say.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from xdetr_data.errors import ConfigError

OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "~")
_CONDITION = re.compile(r"""\s*([A-Za-z_]+)\s*(<=|>=|!=|==|=|<|>|~)\s*("[^"]*"|'[^']*'|[^\s"'<>=!~]+)(?=\s|$)""")
_AND = re.compile(r"\s+and\s+(?=\S)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One comparison: ``value`` is a number where the field is one. ``~`` is "contains", of texts, in any case."""

    field: str
    operator: str
    value: str | float


def parse_conditions(text: str, is_number: Mapping[str, bool], fields: str) -> tuple[Condition, ...]:
    """Reads a filter; raises ConfigError saying what is wrong and what there is (``fields``).

    ``==`` is ``=``.
    """
    conditions = []
    position = 0
    while True:
        match = _CONDITION.match(text, position)
        if match is None:
            rest = text[position:].strip()
            raise ConfigError(
                f"--where {text!r}: {rest!r} is no condition such as width<300 or file~'red ball' ({fields})"
            )
        conditions.append(_condition(text, *match.groups(), is_number, fields))
        position = match.end()
        if not text[position:].strip():
            return tuple(conditions)
        joint = _AND.match(text, position)
        if joint is None:
            raise ConfigError(f"--where {text!r}: {text[position:].strip()!r} must be joined by 'and' ({fields})")
        position = joint.end()


def _condition(text: str, name: str, symbol: str, value: str, is_number: Mapping[str, bool], fields: str) -> Condition:
    name, symbol = name.lower(), "=" if symbol == "==" else symbol
    if name not in is_number:
        raise ConfigError(f"--where {text!r}: there is no field {name!r} ({fields})")
    plain = value[1:-1] if value[0] in "\"'" else value
    if not is_number[name]:
        if symbol in ("<", "<=", ">", ">="):
            raise ConfigError(f"--where {text!r}: {name} is text, which {symbol!r} does not compare; say = != or ~")
        return Condition(field=name, operator=symbol, value=plain)
    try:
        number = float(plain)
    except ValueError:
        raise ConfigError(f"--where {text!r}: {name} is a number, {plain!r} is none") from None
    if symbol == "~":
        raise ConfigError(f"--where {text!r}: {name} is a number, which '~' does not search; say = != < <= > >=")
    return Condition(field=name, operator=symbol, value=number)
