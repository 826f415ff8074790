"""Sentences longer than a model reads: each phrase is read in a window of its sentence, instead of being cut off."""

from collections.abc import Sequence
from itertools import pairwise

from transformers import PreTrainedTokenizerBase

from xdetr_model.grounders.protocol import PhraseQuery

Span = tuple[int, int]
SPARE_TOKENS = 2  # a full stop that is added, and a word that becomes one token more when it is the first


def windowed(tokenizer: PreTrainedTokenizerBase, phrases: Sequence[PhraseQuery], longest: int) -> list[PhraseQuery]:
    """The phrases in order, those of texts of more than ``longest`` tokens in a window of theirs.

    Windows overlap by half, so that most phrases have words on both sides, and phrases of one text share few windows. A
    phrase that is longer than a window stands at the beginning of its own, and is cut.
    """
    texts = list(dict.fromkeys(phrase.text for phrase in phrases))
    room = longest - int(tokenizer.num_special_tokens_to_add()) - SPARE_TOKENS
    long = [text for text in texts if len(text.encode()) > room]  # no token is less than a byte
    windows = {text: _windows(_words(tokenizer, text), room) for text in long}
    return [_in_window(phrase, windows.get(phrase.text, ())) for phrase in phrases]


def _words(tokenizer: PreTrainedTokenizerBase, text: str) -> list[tuple[int, int, int]]:
    """Where each word of the text begins and ends, and how many tokens it has; white space parts words."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False)
    offsets = [(begin, end) for begin, end in encoded["offset_mapping"] if end > begin]
    if not offsets:
        return []
    gaps = (i for i, (one, other) in enumerate(pairwise(offsets), 1) if one[1] < other[0] or _brings_gap(text, other))
    firsts = [0, *gaps]
    return [
        (offsets[first][0], offsets[last - 1][1], last - first)
        for first, last in zip(firsts, [*firsts[1:], len(offsets)], strict=True)
    ]


def _brings_gap(text: str, offset: Span) -> bool:
    """Whether a token brings the space before it along (byte-level tokenizers)."""
    return text[offset[0]].isspace()


def _windows(words: Sequence[tuple[int, int, int]], room: int) -> list[Span]:
    """Characters of windows of at most ``room`` tokens that overlap by half; none where the text needs none."""
    if sum(count for *_, count in words) <= room + SPARE_TOKENS:
        return []
    windows: list[Span] = []
    first = 0
    while first < len(words):
        last, tokens, half = first, 0, first
        while last < len(words) and (tokens + words[last][2] <= room or last == first):
            tokens += words[last][2]
            last += 1
            half = last if tokens <= room // 2 else half
        windows.append((words[first][0], words[last - 1][1]))
        if last == len(words):
            break
        first = max(first + 1, half)
    return windows


def _in_window(phrase: PhraseQuery, windows: Sequence[Span]) -> PhraseQuery:
    """The phrase in the window that has most words on its poorer side, or, where none holds it, in a text that begins
    with it."""
    begin, end = min(one for one, _ in phrase.spans), max(one for _, one in phrase.spans)
    if not windows:
        return phrase
    holding = [(first, last) for first, last in windows if first <= begin and end <= last]
    if holding:
        first, last = max(holding, key=lambda one: min(begin - one[0], one[1] - end))
    else:
        first, last = begin, max(end, next(one[1] for one in windows if one[1] > begin))
    spans = tuple((one - first, other - first) for one, other in phrase.spans)
    return PhraseQuery(text=phrase.text[first:last], spans=spans)
