"""Cuts a narrative into its sentences by its marks; the knowledge of abbreviations is ``boundary_words``'.

A parser's sentences are no help here: "In the background, the grass." has no verb to tell where it ends, and the small
model puts boundaries inside such fragments.
"""

import re

from xdetr_data.marks.boundary_words import Before, abbreviation_score, after_kind, before_kind
from xdetr_data.spans import Span

# A run of marks, closing quotes and white space; what it is, is decided by what it holds and what follows.
_MARKS = re.compile(r"""[.!?…\n][.!?…"'”’)\]\s]*""")
_GLUED = re.compile(r"[A-Z][a-z]*[ ,]")
_NEXT_WORD = re.compile(r"\s*(\S{0,32})")
_LETTER = re.compile(r"[^\W_]")
_LONGEST_WORD = 32


def cut_sentences(caption: str) -> tuple[Span, ...]:
    """The sentences' spans in order, without outer white space; total on any text.

    A sentence ends at ``.``, ``!``, ``?`` or ``…`` before white space, there too where speech recognition glued the
    next one to it ("trees.In the"), and at an empty line. Every letter and digit is in a sentence.
    """
    found: list[Span] = []
    begin = 0
    for match in _MARKS.finditer(caption):
        if _ends_sentence(caption, begin, match):
            _add_sentence(found, caption, begin, match.end())
            begin = match.end()
    _add_sentence(found, caption, begin, len(caption))
    return tuple(found)


def _add_sentence(found: list[Span], caption: str, begin: int, end: int) -> None:
    """Appends the span without outer white space, unless it has no letter or digit."""
    text = caption[begin:end]
    end -= len(text) - len(text.rstrip())
    begin += len(text) - len(text.lstrip())
    if _LETTER.search(caption, begin, end):
        found.append((begin, end))


def _ends_sentence(caption: str, begin: int, match: re.Match[str]) -> bool:
    """Whether a run of marks and white space is a boundary: no abbreviation's mark and no pause within a sentence."""
    run, end = match[0], match.end()
    marks = run.strip()
    if end == len(caption):
        return True
    if not marks:
        return run.count("\n") > 1
    if len(marks) == len(run):  # no white space
        first = match.start() - 2
        return len(marks) == 1 and caption[first : first + 2].islower() and _GLUED.match(caption, end) is not None
    if marks != ".":
        return not (marks.endswith(("...", "…")) and caption[end].islower())
    start = max(begin, match.start() - _LONGEST_WORD)
    word = caption[caption.rfind(" ", start, match.start()) + 1 or start : match.start()]
    kind = before_kind(word)
    if kind is Before.PLAIN:
        return True
    second, before = ["", "", *caption[max(begin, start - _LONGEST_WORD) : match.start() - len(word)].split()][-2:]
    following = _next_word(caption, end)
    return abbreviation_score(kind, (second, before, word, following.rstrip(".")), after_kind(following)) > 0


def _next_word(caption: str, end: int) -> str:
    """The word behind ``end``, cut where it is very long."""
    match = _NEXT_WORD.match(caption, end)
    return match[1] if match else ""
