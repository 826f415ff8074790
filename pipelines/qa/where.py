"""``--where``: which photos to look at, as in ``source=coco and score<0.3``. Parsed, never evaluated as code.

Conditions are joined by ``and``; each is ``FIELD OP VALUE``. A photo is taken if all its own fields fit and, where
fields of phrases are named, one phrase fits all of those.
"""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.qa.reading import trace_agreement
from xdetr_data.errors import ConfigError
from xdetr_data.record import GroundedImage, Phrase, Query
from xdetr_data.spans import span_text

_PHOTO: dict[str, Callable[[GroundedImage], Any]] = {
    "key": lambda record: record.key,
    "source": lambda record: record.image.source,
    "file": lambda record: record.image.file_name,
    "width": lambda record: record.image.size_hw[1],
    "height": lambda record: record.image.size_hw[0],
    "regions": lambda record: len(record.regions),
    "queries": lambda record: len(record.queries),
}
_PHRASE: dict[str, Callable[[Query, Phrase], Any]] = {
    "text": lambda query, phrase: span_text(phrase.spans, query.text),
    "query": lambda query, phrase: query.text,
    "score": lambda query, phrase: phrase.score,
    "agreement": lambda query, phrase: trace_agreement(phrase),
    "boxes": lambda query, phrase: len(phrase.regions),
    "by": lambda query, phrase: phrase.provenance.source,
}
_NUMBERS = frozenset({"width", "height", "regions", "queries", "score", "agreement", "boxes"})
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "~": lambda found, wanted: wanted.lower() in found.lower(),
}
_CONDITION = re.compile(r"""\s*([A-Za-z_]+)\s*(<=|>=|!=|=|<|>|~)\s*("[^"]*"|'[^']*'|[^\s"'<>=!~]+)(?=\s|$)""")
_AND = re.compile(r"\s+and\s+(?=\S)", re.IGNORECASE)

HELP = "fields of the photo: {}; of a phrase: {}; operators: {}".format(
    ", ".join(_PHOTO), ", ".join(_PHRASE), " ".join(_OPERATORS)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One comparison; what a record does not say (a score of people's labels) fits no condition."""

    field: str
    operator: str
    value: str | float

    def fits(self, found: object) -> bool:
        """Whether a value fits."""
        return found is not None and _OPERATORS[self.operator](found, self.value)


@dataclass(frozen=True, slots=True)
class Where:
    """Conditions that all must hold."""

    conditions: Sequence[Condition]

    def __call__(self, record: GroundedImage) -> bool:
        """Whether a photo is wanted."""
        of_phrase = [one for one in self.conditions if one.field in _PHRASE]
        if not all(one.fits(_PHOTO[one.field](record)) for one in self.conditions if one.field in _PHOTO):
            return False
        return not of_phrase or any(
            all(one.fits(_PHRASE[one.field](query, phrase)) for one in of_phrase)
            for query in record.queries
            for phrase in query.phrases
        )


def parse_where(text: str) -> Where:
    """Reads a filter; raises ConfigError saying what is wrong and what there is."""
    conditions = []
    position = 0
    while True:
        match = _CONDITION.match(text, position)
        if match is None:
            rest = text[position:].strip()
            raise ConfigError(
                f"--where {text!r}: {rest!r} is no condition such as score<0.3 or text~'red ball' ({HELP})"
            )
        conditions.append(_condition(text, *match.groups()))
        position = match.end()
        if not text[position:].strip():
            return Where(tuple(conditions))
        joint = _AND.match(text, position)
        if joint is None:
            raise ConfigError(f"--where {text!r}: {text[position:].strip()!r} must be joined by 'and' ({HELP})")
        position = joint.end()


def _condition(text: str, name: str, symbol: str, value: str) -> Condition:
    name = name.lower()
    if name not in _PHOTO and name not in _PHRASE:
        raise ConfigError(f"--where {text!r}: there is no field {name!r} ({HELP})")
    plain = value[1:-1] if value[0] in "\"'" else value
    if name not in _NUMBERS:
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
