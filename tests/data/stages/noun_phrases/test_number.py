"""How many objects a phrase names."""

import pytest

from xdetr_data.stages.noun_phrases.noun_phrases import NounPhrases


@pytest.mark.parametrize(
    ("phrase", "is_plural", "count"),
    [
        ("a dog", False, 1),
        ("the dog", False, None),
        ("another dog", False, 1),
        ("one dog", False, 1),
        ("dogs", True, None),
        ("two dogs", True, 2),
        ("12 dogs", True, 12),
        ("a few dogs", True, None),
        ("several sheep", True, None),
        ("two sheep", True, 2),
        ("many people", True, None),
        ("both the dogs", True, 2),
        ("a couple of dogs", True, 2),
        ("a pair of shoes", True, 2),
        ("a pair of jeans", False, 1),
        ("jeans", False, None),
        ("a dozen eggs", True, 12),
        ("two or three dogs", True, None),
        ("a group of dogs", True, None),
        ("a herd of sheep", True, None),
        ("a lot of water", False, None),
        ("lots of trees", True, None),
        ("a slice of pizza", False, 1),
        ("three slices of pizza", True, 3),
        ("one of the dogs", False, 1),
        ("some of the dogs", True, None),
        ("each of the dogs", False, None),
        ("a woman's shoes", True, None),
        ("a woman's hat", False, None),
        ("a two-story house", False, 1),
        ("a three tier cake", False, 1),
        ("two pairs of shoes", True, None),
        ("the three cats", True, 3),
        ("the 1990s bus", False, None),
        ("the water", False, None),
    ],
)
def test_number_is_read_from_the_words(
    noun_phrases: NounPhrases, phrase: str, is_plural: bool, count: int | None
) -> None:
    text = f"We can see {phrase} near the door."
    (sentence,) = noun_phrases([text])[0]
    mention = sentence.mentions[0]
    assert text[slice(*mention.spans[0])] == phrase
    assert (mention.is_plural, mention.count) == (is_plural, count)


@pytest.mark.parametrize(
    ("phrase", "head"),
    [
        ("the leaves", "leaf"),
        ("Two WOMEN", "woman"),
        ("a group of people", "people"),
        ("scissors", "scissors"),
        ("a woman's purse", "purse"),
        ("t-shirts", "shirt"),
        ("glass vases", "vase"),
    ],
)
def test_heads_are_lemmas_in_lower_case(noun_phrases: NounPhrases, phrase: str, head: str) -> None:
    (sentence,) = noun_phrases([f"There are {phrase} on the bench."])[0]
    assert sentence.mentions[0].head == head
