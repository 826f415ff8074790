"""Long sentences are read in windows: a phrase keeps its words, sees its neighbours, and fits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.model.grounders.test_xdetr import PHOTOS, grounder
from xdetr_model import PhraseQuery
from xdetr_model.grounders.windows import windowed
from xdetr_model.network.tokenizer import word_tokenizer

TOKENIZER = word_tokenizer()
WORDS = ("a", "red", "circle", "and", "blue", "square", "near", "the", "tree", "zzqx,", "half-hidden", "(two)")
LONGEST = 24


@st.composite
def phrases(draw: st.DrawFn) -> PhraseQuery:
    """A phrase of one or two parts in a text of up to 120 words."""
    words = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=120))
    text = draw(st.sampled_from([" ", "  "])).join(words)
    places = sorted(draw(st.lists(st.integers(0, len(words) - 1), min_size=1, max_size=2, unique=True)))
    begins, at = [], 0
    for word in words:
        begins.append(text.index(word, at))
        at = begins[-1] + len(word)
    return PhraseQuery(text=text, spans=tuple((begins[i], begins[i] + len(words[i])) for i in places))


def count(text: str) -> int:
    return len(TOKENIZER(text)["input_ids"])


@given(st.lists(phrases(), min_size=1, max_size=4))
def test_a_phrase_keeps_its_words_in_a_window_that_the_model_reads(asked: list[PhraseQuery]) -> None:
    for phrase, seen in zip(asked, windowed(TOKENIZER, asked, LONGEST), strict=True):
        assert [seen.text[a:b] for a, b in seen.spans] == [phrase.text[a:b] for a, b in phrase.spans]
        assert seen.text in phrase.text
        if count(phrase.text) <= LONGEST:
            assert seen == phrase
        elif phrase.spans[-1][1] - phrase.spans[0][0] < 8:
            assert count(seen.text) <= LONGEST


def test_phrases_of_a_long_text_share_few_windows_and_have_neighbours_on_both_sides() -> None:
    text = " ".join(WORDS[number % 9] for number in range(200))
    asked = [PhraseQuery(text=text, spans=((at, at + len(word)),)) for word, at in _places(text)]
    seen = windowed(TOKENIZER, asked, 34)
    assert len({one.text for one in seen}) <= 4 * count(text) // 34
    for one in seen[20:-20]:
        ((begin, end),) = one.spans
        assert one.text[:begin].strip()
        assert one.text[end:].strip()


def _places(text: str) -> list[tuple[str, int]]:
    found, at = [], 0
    for word in text.split():
        found.append((word, text.index(word, at)))
        at = found[-1][1] + len(word)
    return found


@pytest.mark.parametrize("context", [True, False])
def test_a_phrase_behind_what_the_model_reads_is_grounded(context: bool) -> None:
    model = grounder(context=context)
    text = "a small tree and " * model._model.config.max_text_tokens + "a red circle"
    end = len(text)
    (found,) = model.ground([PHOTOS[0]], [[PhraseQuery(text=text, spans=((end - 12, end),))]], 3)
    assert found[0].fit == "whole"
    assert len(found[0].scores) == 3


def test_a_short_sentence_scores_as_ever() -> None:
    model = grounder()
    text = "a red circle and a blue square near the tree"
    (found,) = model.ground([PHOTOS[0]], [[PhraseQuery(text=text, spans=((0, 12),))]], 3)
    assert found[0].fit == "whole"
