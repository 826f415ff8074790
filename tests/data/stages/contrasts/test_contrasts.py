"""Siblings of phrases: the sentence with another attribute, and where the phrase stands in it then."""

from hypothesis import given
from hypothesis import strategies as st

from xdetr_data.stages.contrasts.contrasts import contrasts, siblings

TEXT = "There is a Red car near two small dogs."


def test_a_sibling_is_the_same_sentence_with_another_attribute() -> None:
    first, second = contrasts(TEXT, [(9, 18)], 2)
    assert (first.text, first.phrase) == ("There is a Blue car near two small dogs.", "a Blue car")
    assert (second.text, second.phrase) == ("There is a Green car near two small dogs.", "a Green car")
    assert [one.phrase for one in contrasts(TEXT, [(24, 38)], 9)] == ["two big dogs"]


def test_two_attributes_take_turns_and_words_of_the_sentence_around_are_none() -> None:
    text = "the small red car, wooden"
    found = [one.phrase for one in contrasts(text, [(0, 17)], 4)]
    assert found == ["the big red car", "the small blue car", "the small green car", "the small yellow car"]
    assert contrasts("a car in red", [(0, 5)], 4) == ()
    assert contrasts(text, [(0, 9), (14, 17)], 4) == ()
    assert contrasts(text, [(0, 17)], 0) == ()


def test_words_that_mean_the_same_are_no_siblings() -> None:
    assert siblings()["large"] == siblings()["big"] == ("small",)
    assert "gray" not in siblings()["grey"]
    assert siblings()["with"] == ("without",)
    for word, others in siblings().items():
        assert word not in others


@given(st.text(max_size=40), st.sampled_from([*siblings(), "car"]), st.text(max_size=40), st.integers(0, 12))
def test_all_but_the_attribute_stays_as_it_was(before: str, word: str, after: str, most: int) -> None:
    text = f"{before} {word} {after}"
    span = (len(before), len(before) + len(word) + 2)
    found = contrasts(text, [span], most)
    assert len(found) <= most
    assert (not found) == (word == "car" or most == 0)
    for one in found:
        assert one.text.startswith(before)
        assert one.text.endswith(after)
        assert one.phrase == one.text[len(before) : len(one.text) - len(after)]
        assert one.phrase.strip() in siblings()[word]
