"""Counts the words of texts and of spans of texts, all at once. A word is what white space separates."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

_SPACES = np.array([code for code in range(0x3001) if chr(code).isspace()], dtype=np.uint32)


def words_of_texts(texts: Sequence[str]) -> Ints:
    """Number of words of each text, ``[N]``: ``len(text.split())``."""
    return np.fromiter((len(text.split()) for text in texts), np.int64, len(texts))


def words_of_spans(texts: Sequence[str], text_of_span: Ints, spans_char: NDArray[np.integer]) -> Ints:
    """Number of words of each span, ``[S]``: ``len(text[begin:end].split())``.

    ``text_of_span [S]`` are positions in ``texts``, ``spans_char [S, 2]`` are ``[begin, end)`` in code points of that
    text. One pass over all characters instead of one slice a span.
    """
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    codes = np.frombuffer("".join(texts).encode("utf-32-le"), dtype=np.uint32)
    is_word = ~np.isin(codes, _SPACES)
    starts = is_word.copy()
    starts[1:] &= ~is_word[:-1]
    starts_before = np.concatenate([[0], np.cumsum(starts)])
    offset = (np.cumsum(lengths) - lengths)[text_of_span]
    begin, end = offset + spans_char[:, 0], offset + spans_char[:, 1]
    in_a_word = is_word[begin]  # a span that begins inside a word holds the rest of it as a word
    result: Ints = starts_before[end] - starts_before[begin + 1] + in_a_word
    return result
