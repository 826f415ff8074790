"""What MDETR's scripts make of one expression, so that the benchmark's paragraphs hold the released file's evidence.

Source: MDETR's pre-training scripts for Visual Genome, referring expressions and GQA, by their rules: an expression's
first noun phrase by spaCy's parse is boxed, always; words of other noun phrases are no negative words unless boxed
themselves; an expression without a noun phrase is boxed, and negative, as a whole; a question is negative as a whole.
"""

import random
from dataclasses import dataclass

from spacy.tokens import Doc, Token

from xdetr_data.boxes import Box
from xdetr_data.spans import Span

NOUNS = frozenset({"NN", "NNS", "NNP", "NNPS"})
NOUNS_AND_PRONOUNS = NOUNS | {"PRP"}
VERBS = frozenset({"VB", "VBD", "VBG", "VBN", "VBP", "VBZ"})
SHARE_OF_OTHERS_BOXED = 0.2  # of nouns that are not the root; 2 of 13 in the published records
SHARE_OF_ROOTS_BOXED = 0.6  # the others have the box of their region
SHARE_OF_SEVERAL_BOXES = 0.07


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """One expression's spans in characters: its root phrase, its negative words, and each other noun."""

    root: tuple[Span, ...]
    negatives: tuple[Span, ...]
    others: tuple[Span, ...]


def parsed(doc: Doc) -> Parsed:
    """Root phrase and negative words; both the whole text where there is no noun phrase at the root."""
    root = _root_phrase(doc)
    if root is None:
        whole = bare_spans([(0, len(doc.text))], doc.text)
        return Parsed(root=whole, negatives=whole, others=())
    nouns = [token for token in doc if token.tag_ in NOUNS and token.dep_ != "ROOT" and token not in root]
    other_words = {part for noun in nouns for part in _noun_phrase(noun)}
    return Parsed(
        root=bare_spans([_span(token) for token in root], doc.text),
        negatives=bare_spans([_span(token) for token in doc if token not in other_words], doc.text),
        others=bare_spans([_span(noun) for noun in nouns], doc.text),
    )


def bare_spans(spans: list[Span], text: str) -> tuple[Span, ...]:
    """Sorted spans that begin and end in a letter or digit, hyphenated words whole, overlapping ones merged."""
    return _merged([span for one in _merged(spans) if (span := _on_words(*one, text))])


def boxed(one: Parsed, dice: random.Random) -> tuple[list[tuple[Span, ...]], list[Box], tuple[Span, ...]]:
    """One drawing of what Visual Genome boxes: annotations' spans, their boxes, and the negative words.

    The region has a box; its root has that or one inside, other nouns have smaller ones inside, or none.
    """
    x, y = dice.uniform(0, 480), dice.uniform(0, 330)
    region = (x, y, x + dice.uniform(30, 160), y + dice.uniform(30, 150))
    count = 2 if dice.random() < SHARE_OF_SEVERAL_BOXES else 1
    spans = [one.root] * count
    boxes = [_part(region, 0.6, 1.0, dice) if dice.random() < SHARE_OF_ROOTS_BOXED else region for _ in range(count)]
    others = [span for span in one.others if dice.random() < SHARE_OF_OTHERS_BOXED]
    spans += [(span,) for span in others]
    boxes += [_part(region, 0.2, 0.9, dice) for _ in others]
    return spans, boxes, _merged([*one.negatives, *others])


def _part(box_xyxy: Box, least: float, most: float, dice: random.Random) -> Box:
    """A box inside another, each side a share of the other's."""
    x0, y0, x1, y1 = box_xyxy
    width, height = (x1 - x0) * dice.uniform(least, most), (y1 - y0) * dice.uniform(least, most)
    x, y = dice.uniform(x0, x1 - width), dice.uniform(y0, y1 - height)
    return (x, y, x + width, y + height)


def _root_phrase(doc: Doc) -> list[Token] | None:
    if not any(token.tag_ in NOUNS_AND_PRONOUNS for token in doc):
        return None
    root = next((token for token in doc if token.dep_ == "ROOT" and token.tag_ != "UH"), None)
    if root is None or any(child.tag_ in VERBS and child.dep_ == "compound" for child in root.children):
        return None
    if root.tag_ in NOUNS:
        return _noun_phrase(root)
    noun = next((child for child in root.children if child.tag_ in NOUNS_AND_PRONOUNS), None)
    return None if noun is None else [*noun.lefts, noun]


def _noun_phrase(noun: Token) -> list[Token]:
    """A noun with what stands left of it, of which nouns have their own."""
    phrase, open_ = [noun], [noun]
    while open_:
        token = open_.pop()
        if token.tag_ in NOUNS:
            lefts = list(token.lefts)
            phrase += lefts
            open_ += lefts
    return phrase


def _span(token: Token) -> Span:
    return token.idx, token.idx + len(token.text)


def _merged(spans: list[Span]) -> tuple[Span, ...]:
    merged: list[Span] = []
    for begin, end in sorted(spans):
        if merged and begin < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return tuple(merged)


def _on_words(begin: int, end: int, text: str) -> Span | None:
    while begin < len(text) and not text[begin].isalnum():
        begin += 1
    while end > 0 and not text[end - 1].isalnum():
        end -= 1
    if text[end : end + 1] == "-":
        space = text.find(" ", end)
        end = len(text) if space < 0 else space
        while end > 0 and not text[end - 1].isalnum():
            end -= 1
    if begin and text[begin - 1] == "-":
        begin = text.rfind(" ", 0, begin) + 1
    return (begin, end) if begin < end else None
