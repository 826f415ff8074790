"""Sentences of narratives, by their marks alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdetr_data.stages.noun_phrases.sentences import cut_sentences


def texts(caption: str) -> list[str]:
    return [caption[begin:end] for begin, end in cut_sentences(caption)]


@pytest.mark.parametrize(
    ("caption", "sentences"),
    [
        ("In this image there is a dog. At the bottom, the grass.", 2),
        ("At the bottom, the grass. ", 1),
        ("there is a tree.In the background there is a sky.", 2),
        ("a dog! is it a cat? yes.", 3),
        ("a man with a no. 5 on his shirt.", 1),
        ("Mr. Smith is near st. paul's church.", 1),
        ("a U.S. flag on a pole.", 1),
        ("a dog... and a cat.", 1),
        ("a dog... And a cat.", 2),
        ("a dog\n\na cat", 2),
        ("a dog\non a mat", 1),
        ("www.example.com is on the banner.", 1),
        ("a 2.5 litre bottle.", 1),
        ('It says "stop." The car stops.', 2),
        ("", 0),
        (" \n ", 0),
        ("... !", 0),
        ("the background.", 1),
    ],
)
def test_marks_end_sentences_but_abbreviations_and_pauses_do_not(caption: str, sentences: int) -> None:
    assert len(texts(caption)) == sentences


def test_a_glued_sentence_begins_at_its_capital() -> None:
    assert texts("I see trees.In the back, the sky.") == ["I see trees.", "In the back, the sky."]


@given(st.text(alphabet=st.sampled_from("aB .!?…\n\u00a0\u2028\"'”1😀"), max_size=60))
def test_sentences_are_trimmed_disjoint_and_hold_every_letter_and_digit(caption: str) -> None:
    spans = cut_sentences(caption)
    last = 0
    for begin, end in spans:
        assert last <= begin < end <= len(caption)
        assert caption[begin:end] == caption[begin:end].strip()
        assert not any(map(str.isalnum, caption[last:begin]))
        last = end
    assert not any(map(str.isalnum, caption[last:]))
