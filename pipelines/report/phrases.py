"""The most frequent phrases of a dataset, counted in bounded memory."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

MOST_KEPT = 500_000  # different phrases in memory at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Frequent:
    """``counts``: phrases in lower case and how often each is said, the most frequent first, of ``total``.

    ``missing`` is how many each count may be too low, 0 where all were counted.
    """

    counts: tuple[tuple[str, int], ...]
    total: int
    missing: int


class PhraseCounts:
    """Counts phrases; where there are too many different ones, all counts are lowered and the rarest forgotten.

    Source: Agarwal et al., Mergeable Summaries, PODS 2012 (the summary of Misra and Gries).
    """

    def __init__(self, most_kept: int = MOST_KEPT) -> None:
        self._counts: Counter[str] = Counter()
        self._most_kept = most_kept
        self._total = 0
        self._missing = 0

    def add(self, phrases: Iterable[str]) -> None:
        """Counts phrases, whatever their case and white space."""
        said = Counter(" ".join(phrase.lower().split()) for phrase in phrases)
        self._total += said.total()
        self._counts.update(said)
        if len(self._counts) > self._most_kept:
            least = sorted(self._counts.values(), reverse=True)[self._most_kept // 2]
            self._missing += least
            self._counts = Counter({name: count - least for name, count in self._counts.items() if count > least})

    def most_frequent(self, number: int) -> Frequent:
        """The ``number`` most frequent phrases; of equally frequent ones the first of the alphabet."""
        best = sorted(self._counts.items(), key=lambda one: (-one[1], one[0]))[:number]
        return Frequent(counts=tuple(best), total=self._total, missing=self._missing)
