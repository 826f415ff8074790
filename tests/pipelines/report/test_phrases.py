from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pipelines.report.phrases import PhraseCounts


@given(st.lists(st.lists(st.sampled_from("abcdefghijkl"), max_size=30), max_size=8), st.integers(3, 12))
def test_a_count_is_too_low_by_no_more_than_it_says_whatever_the_memory(batches: list[list[str]], kept: int) -> None:
    counts = PhraseCounts(kept)
    for batch in batches:
        counts.add(batch)
    found = counts.most_frequent(12)
    said = Counter(word for batch in batches for word in batch)
    assert found.total == said.total()
    shown = dict(found.counts)
    assert all(count - found.missing <= shown.get(word, 0) <= count for word, count in said.items())
    assert len(said) > kept or found.missing == 0
