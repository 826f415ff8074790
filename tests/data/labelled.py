"""Sentences with their object phrases marked by hand: ``labelled_sentences.jsonl``.

``[two brown dogs|dog|2]`` is a phrase, the lemma of its head, and its number: how many, ``+`` for a plural that does
not say, ``-`` for anything else. What is not marked names no object. ``kind`` says what the sentence is like: quoted in
the paper, spoken as in a narrative, a caption, a fragment, or one of these written ``later``, to be counted before
anything was changed for it (docs/benchmarks/noun_phrases.md).
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from xdetr_data.spans import Span

_MARK = re.compile(r"\[([^|\]]+)\|([^|\]]+)\|(\d+|\+|-)\]")
_FILE = Path(__file__).with_name("labelled_sentences.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPhrase:
    """One phrase; ``number`` is plurality and count."""

    span: Span
    head: str
    number: tuple[bool, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSentence:
    """A sentence and all phrases in it that name an object."""

    kind: str
    text: str
    phrases: tuple[LabelledPhrase, ...]


def parse_marked(kind: str, marked: str) -> LabelledSentence:
    """The sentence without its marks."""
    text, phrases, last = "", [], 0
    for match in _MARK.finditer(marked):
        text += marked[last : match.start()]
        count = int(match[3]) if match[3].isdecimal() else None
        number = (match[3] == "+" or (count or 0) > 1, count)
        phrases.append(LabelledPhrase(span=(len(text), len(text) + len(match[1])), head=match[2], number=number))
        text += match[1]
        last = match.end()
    return LabelledSentence(kind=kind, text=text + marked[last:], phrases=tuple(phrases))


def labelled_sentences() -> list[LabelledSentence]:
    """The whole set, in the file's order."""
    lines = _FILE.read_text(encoding="utf-8").splitlines()
    return [parse_marked(**json.loads(line)) for line in lines]
