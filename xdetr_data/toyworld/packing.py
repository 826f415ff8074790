"""MDETR's packing of one photo's expressions into paragraphs, with the truth that a split must find again.

Source: the rule of MDETR's ``combine_datasets`` script, as the formats page tells it. Expressions that box the same
object exclude each other; the others are coloured greedily, the most excluded first, each into the first paragraph that
has room. The room counts expressions without their separators, so a paragraph can be longer than its budget.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xdetr_data.boxes import Box, iou_matrix_xyxy
from xdetr_data.spans import Span, shift_spans

_MARKS = (".", "?")
_ROOM_KEPT = 2  # MDETR leaves two characters of the budget free
_WORD = re.compile(r"\S+")
# MDETR moves both ends of a span to the nearest letter or digit: "U.S." becomes "U.S", "no." becomes "no".
_BARE_WORD = re.compile(r"[^\W_](?:\S*[^\W_])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """One independent expression of one photo: a region description, a referring expression, a question, a caption.

    Attributes:
        text: what was said; may hold several sentences and may end in a mark already.
        boxes_xyxy: one box in pixels per annotation; may be empty.
        spans_char: for each annotation the spans of its words in ``text``, word by word.
        is_question: as in GQA: the negative span is the whole question without its question mark.
    """

    text: str
    boxes_xyxy: tuple[Box, ...] = ()
    spans_char: tuple[tuple[Span, ...], ...] = ()
    is_question: bool = False

    def __post_init__(self) -> None:
        if not self.text:
            raise ValueError("an expression needs text, got ''")
        if len(self.boxes_xyxy) != len(self.spans_char):
            raise ValueError(
                f"an expression has one list of spans per box, got {len(self.boxes_xyxy)} boxes and "
                f"{len(self.spans_char)} lists of spans"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedAnnotation:
    """One annotation of a paragraph: its box in pixels, its spans in the caption, and whose it is.

    ``expression`` and ``position`` index the packed list of expressions and that expression's annotations.
    """

    box_xyxy: Box
    spans_char: tuple[Span, ...]
    expression: int
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """What MDETR calls an image: a caption of packed expressions, and the truth about where each one lies.

    ``sentences`` are ``[begin, end)`` of each expression in the caption with its mark; ``expressions`` are their
    indices in the list that was packed, in the same order.
    """

    caption: str
    annotations: tuple[PackedAnnotation, ...]
    tokens_negative: tuple[Span, ...]
    sentences: tuple[Span, ...]
    expressions: tuple[int, ...]


def pack_expressions(
    expressions: Sequence[Expression],
    *,
    max_chars: int = 250,
    max_iou: float = 0.5,
    keep_word_marks: bool = False,
) -> list[Paragraph]:
    """Packs the expressions of one photo as MDETR did; every expression is in exactly one paragraph.

    Args:
        expressions: of one photo.
        max_chars: budget of a paragraph, counted without separators; an expression beyond it has its own paragraph.
        max_iou: expressions with a pair of boxes above it are not packed together.
        keep_word_marks: negative words keep their own marks ("no.", "stove,"), as some converters write them;
            by default they begin and end in a letter or digit, as in the released files.
    """
    rivals = _rivals(expressions, max_iou)
    order = sorted(range(len(expressions)), key=lambda index: (len(rivals[index]), index), reverse=True)
    paragraph_of: dict[int, int] = {}
    lengths: list[int] = []
    for index in order:
        length = len(expressions[index].text)
        taken = {paragraph_of[rival] for rival in rivals[index] if rival in paragraph_of}
        free = (
            paragraph
            for paragraph, filled in enumerate(lengths)
            if paragraph not in taken and filled + length + _ROOM_KEPT <= max_chars
        )
        chosen = next(free, len(lengths))
        if chosen == len(lengths):
            lengths.append(0)
        lengths[chosen] += length
        paragraph_of[index] = chosen
    members: list[list[int]] = [[] for _ in lengths]
    for index, paragraph in paragraph_of.items():
        members[paragraph].append(index)
    return [join_expressions(expressions, chosen, keep_word_marks=keep_word_marks) for chosen in members]


def join_expressions(
    expressions: Sequence[Expression], indices: Sequence[int], *, keep_word_marks: bool = False
) -> Paragraph:
    """One paragraph of the expressions at ``indices``, in that order: a mark where none is, one space between."""
    parts: list[str] = []
    sentences: list[Span] = []
    annotations: list[PackedAnnotation] = []
    negatives: list[Span] = []
    begin = 0
    for index in indices:
        expression = expressions[index]
        part = expression.text if expression.text.endswith(_MARKS) else expression.text + "."
        parts.append(part)
        sentences.append((begin, begin + len(part)))
        annotations += (
            PackedAnnotation(box_xyxy=box, spans_char=shift_spans(spans, begin), expression=index, position=position)
            for position, (box, spans) in enumerate(zip(expression.boxes_xyxy, expression.spans_char, strict=True))
        )
        negatives += shift_spans(negative_spans(expression, keep_word_marks=keep_word_marks), begin)
        begin += len(part) + 1
    return Paragraph(
        caption=" ".join(parts),
        annotations=tuple(annotations),
        tokens_negative=tuple(negatives),
        sentences=tuple(sentences),
        expressions=tuple(indices),
    )


def negative_spans(expression: Expression, *, keep_word_marks: bool = False) -> tuple[Span, ...]:
    """Spans of the words that may name no other object: every word, or a whole question without its mark.

    With ``keep_word_marks`` a word has its own marks, and one with the mark that ends the expression is left out.
    """
    text = expression.text
    body = text[:-1] if text.endswith(_MARKS) else text
    if expression.is_question:
        return ((0, len(body)),) if body else ()
    if keep_word_marks:
        return tuple(match.span() for match in _WORD.finditer(text) if match.end() <= len(body))
    return tuple(match.span() for match in _BARE_WORD.finditer(body))


def _rivals(expressions: Sequence[Expression], max_iou: float) -> list[list[int]]:
    """For each expression those with a box that overlaps one of its own by more than ``max_iou``."""
    owners = np.repeat(np.arange(len(expressions)), [len(expression.boxes_xyxy) for expression in expressions])
    boxes_xyxy = np.array([box for expression in expressions for box in expression.boxes_xyxy], dtype=np.float64)
    first, second = np.nonzero(iou_matrix_xyxy(boxes_xyxy, boxes_xyxy) > max_iou)
    rivals: list[set[int]] = [set() for _ in expressions]
    for one, other in zip(owners[first].tolist(), owners[second].tolist(), strict=True):
        if one != other:
            rivals[one].add(other)
    return [sorted(found) for found in rivals]
