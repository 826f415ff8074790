"""``--where``: which photos to look at, as in ``source=coco and score<0.3`` (``pipelines/where.py``).

A photo is taken if all its own fields fit and, where
fields of phrases are named, one phrase fits all of those.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.qa.reading import trace_agreement
from pipelines.where import OPERATORS, Condition, parse_conditions
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
HELP = "fields of the photo: {}; of a phrase: {}; operators: {}".format(
    ", ".join(_PHOTO), ", ".join(_PHRASE), " ".join(OPERATORS)
)


def _fits(one: Condition, found: object) -> bool:
    """Whether a value fits; what a record does not say (a score of people's labels) fits no condition."""
    return found is not None and _OPERATORS[one.operator](found, one.value)


@dataclass(frozen=True, slots=True)
class Where:
    """Conditions that all must hold."""

    conditions: Sequence[Condition]

    def __call__(self, record: GroundedImage) -> bool:
        """Whether a photo is wanted."""
        of_phrase = [one for one in self.conditions if one.field in _PHRASE]
        if not all(_fits(one, _PHOTO[one.field](record)) for one in self.conditions if one.field in _PHOTO):
            return False
        return not of_phrase or any(
            all(_fits(one, _PHRASE[one.field](query, phrase)) for one in of_phrase)
            for query in record.queries
            for phrase in query.phrases
        )


def parse_where(text: str) -> Where:
    """Reads a filter; raises ConfigError saying what is wrong and what there is."""
    return Where(parse_conditions(text, {name: name in _NUMBERS for name in (*_PHOTO, *_PHRASE)}, HELP))
