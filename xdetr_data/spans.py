"""The only arithmetic on character offsets. A span is ``[begin, end)`` in code points of its text."""

from collections.abc import Iterable, Sequence

Span = tuple[int, int]


def check_spans(spans: Sequence[Sequence[int]], text: str) -> str | None:
    """Why these spans are no phrase of ``text``, or None: a reason in words that a reject can carry."""
    if not spans:
        return "no spans"
    for span in spans:
        if len(span) != 2:
            return f"a span of {len(span)} numbers is not a [begin, end) pair"
        begin, end = span
        if not 0 <= begin < end <= len(text):
            return f"span [{begin}, {end}) is outside the text of {len(text)} characters or empty"
        if text[begin:end].isspace():
            return f"span [{begin}, {end}) covers only white space"
    return None


def join_spans(spans: Iterable[Sequence[int]], text: str) -> tuple[Span, ...]:
    """Sorts spans and joins those that overlap, touch, or are separated by white space alone.

    MDETR writes phrases word by word: "one man" may be ``[[0, 3], [4, 7]]`` and becomes ``((0, 7),)``.
    Really disjoint spans stay apart.
    """
    ordered = sorted([(begin, end) for begin, end in spans])
    joined: list[Span] = []
    for begin, end in ordered:
        if joined and (begin <= joined[-1][1] or text[joined[-1][1] : begin].isspace()):
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return tuple(joined)


def shift_spans(spans: Iterable[Span], offset: int) -> tuple[Span, ...]:
    """Spans moved by ``offset`` characters; ``shift_spans(shift_spans(s, n), -n) == s``."""
    return tuple([(begin + offset, end + offset) for begin, end in spans])


def contains(outer: Span, spans: Sequence[Span]) -> bool:
    """Whether all of a phrase's spans, which are in order, lie inside ``outer``."""
    return outer[0] <= spans[0][0] and spans[-1][1] <= outer[1]


def span_text(spans: Iterable[Span], text: str) -> str:
    """The words of a phrase, its disjoint parts joined by one space."""
    return " ".join(text[begin:end] for begin, end in spans)
