"""The grammar on sentences that a parser of fragments gets wrong."""

import pytest

from tests.data.labelled import parse_marked
from xdetr_data.stages.noun_phrases.noun_phrases import NounPhrases
from xdetr_data.stages.noun_phrases.words import load_words


@pytest.mark.parametrize(
    "marked",
    [
        "In the background, {a dog} sitting in {the grass}.",
        "In the background, {a refrigerator}, {oven} and {microwave} sitting in {a kitchen}.",
        "{a black and white cat}",
        "{two men} and {a woman}",
        "{a large, fluffy, white dog}",
        "{the man's hat} and {the dogs' bowls}",
        "{snow covered hills}",
        "{a small moped} on {a dirt road}",
        "{a walk-in closet} with {t-shirts}",
        "{the elderly} in {the park}",
        "{some of the people} near {a row of parked cars}",
        "{a parked truck}, {sliced apples} and {two boiled eggs}",
        "one wearing {a hat}",
        "he stands by holding {a mic}",
        "{brightly colored kites}",
        "there are also {red cars}",
        "{A skater} slides down {a wall}.",
        "{Men} in {gas masks} kneel.",
        "{A girl} and {her horse} stand by {a fire}.",
        "In the background {palm trees}, at the bottom {sand}.",
        "On {the background wall} there is {a clock}.",
        "{stop sign} near {parking meter}",
        "{a bathroom shower stall} with {a shower head}",
        "{a tall\u00a0tree}\nand {a  wide\nroad}",
        "{a dog} 😀😀 and {a cat} 🐈",
        "{A male} and {a female} on {a couch}.",
        "I can see {cars} in {a parking lot}.",
        "{A toddler} drinking {milk}.",
        "{A boy} with {a boxing ring}.",
        "In the background {people}, in the foreground {a group of cars}.",
        "He holds {a phone} without case.",
    ],
)
def test_phrases_are_minimal_and_whole(noun_phrases: NounPhrases, marked: str) -> None:
    sentence = parse_marked("", marked.replace("{", "[").replace("}", "|x|-]"))
    (found,) = noun_phrases([sentence.text])[0]
    assert [span for mention in found.mentions for span in mention.spans] == [p.span for p in sentence.phrases]


def test_word_lists_are_lower_case_and_quantities_count_in_one_way_only() -> None:
    words = load_words()
    groups = words.quantity_nouns
    assert not groups.two & (groups.many | groups.pieces)
    assert all(word == word.lower() for word in words.verbs | words.pairs | words.quantity_words | groups.every)


def test_nothing_is_both_a_verb_to_cut_off_and_a_compound() -> None:
    words = load_words()
    assert not words.pairs & words.plural_nouns
    assert not words.sentence_adverbs & words.never_nouns
