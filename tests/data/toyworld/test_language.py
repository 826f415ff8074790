"""What the sentences say is what the photos show."""

import re

from tests.data.toyworld.wordlist import NOUN_PHRASE, NUMBERS, read
from xdetr_data.toyworld import vocabulary as words
from xdetr_data.toyworld.truth import PhotoTruth


def test_words_told_by_attributes_fit_their_object_and_no_other(truths: list[PhotoTruth]) -> None:
    checked = 0
    for photo in truths:
        for text in photo.texts:
            for phrase in text.phrases:
                if phrase.kind != "attribute" or photo.objects[phrase.objects[0]].is_crowd:
                    continue
                said = text.text[slice(*phrase.span)]
                fitting = tuple(index for index, seen in enumerate(photo.objects) if read(said).fits(seen))
                assert fitting == phrase.objects, f"{photo.key}: {said!r} fits {fitting}"
                checked += 1
    assert checked > 2000


def test_plurals_name_all_objects_that_they_fit_and_count_them_rightly(truths: list[PhotoTruth]) -> None:
    numbers = re.compile(r"\b(" + "|".join(NUMBERS) + r"|\d+)\b")
    counted = 0
    for photo in truths:
        for text in photo.texts:
            for phrase in text.phrases:
                if phrase.kind != "plural":
                    continue
                said = text.text[slice(*phrase.span)]
                assert len(phrase.objects) > 1
                assert tuple(i for i, seen in enumerate(photo.objects) if read(said).fits(seen)) == phrase.objects, said
                number = numbers.search(said.lower())
                if number:
                    assert NUMBERS.get(number[1], number[1]) in (len(phrase.objects), str(len(phrase.objects))), said
                    counted += 1
    assert counted > 50


def test_words_that_need_a_relation_fit_their_object_and_others_too(truths: list[PhotoTruth]) -> None:
    found = 0
    for photo in truths:
        for text in photo.texts:
            for phrase in text.phrases:
                if phrase.kind == "relation":
                    said = read(text.text[slice(*phrase.span)])
                    assert said.fits(photo.objects[phrase.objects[0]])
                    assert sum(said.fits(seen) for seen in photo.objects) > 1
                    found += 1
    assert found > 200


def test_left_and_right_above_and_below_are_true(truths: list[PhotoTruth]) -> None:
    rules = {
        r"^ (?:to the )?left of ": (0, -1), r"^ (?:to the )?right of ": (0, 1),
        r"^ (?:above|higher than) ": (1, -1), r"^ (?:below|under|beneath) ": (1, 1),
    }  # fmt: skip
    checked = 0
    for photo in truths:
        for text in photo.texts:
            for one, other in zip(text.phrases, text.phrases[1:], strict=False):
                between = text.text[one.span[1] : other.span[0]]
                sentence = next(s for s in text.sentences if s[0] <= one.span[0] < s[1])
                if "plural" in (one.kind, other.kind) or text.text[slice(*sentence)].endswith("?"):
                    continue  # a question may ask what is not so
                for pattern, (axis, sign) in rules.items():
                    if re.match(pattern, between):
                        places = [
                            photo.objects[phrase.objects[0]].box_xyxy[axis]
                            + photo.objects[phrase.objects[0]].box_xyxy[axis + 2]
                            for phrase in (one, other)
                        ]
                        assert sign * (places[0] - places[1]) > 0, text.text
                        checked += 1
    assert checked > 100


def test_phrases_are_whole_words_inside_one_sentence(truths: list[PhotoTruth]) -> None:
    for photo in truths:
        for text in photo.texts:
            for phrase in text.phrases:
                begin, end = phrase.span
                assert any(first <= begin and end <= last for first, last in text.sentences)
                assert begin == 0 or not text.text[begin - 1].isalnum()
                assert end == len(text.text) or not text.text[end].isalnum()
                assert text.text[begin:end].strip() == text.text[begin:end]


def test_held_out_combinations_are_never_drawn_or_named_in_training_but_are_in_val_and_test(
    truths: list[PhotoTruth],
) -> None:
    named = {"train": 0, "val": 0, "test": 0}
    drawn = dict(named)
    for photo in truths:
        drawn[photo.split] += sum(seen.held_out for seen in photo.objects)
        for text in photo.texts:
            for match in NOUN_PHRASE.finditer(text.text.lower()):
                said = read(match[1])
                named[photo.split] += any(
                    (said.colour, said.shape) == (held.colour, held.shape) and held.pattern in (None, said.pattern)
                    for held in words.HELD_OUT
                )
    assert drawn["train"] == named["train"] == 0
    assert min(drawn["val"], drawn["test"], named["val"]) > 0


def test_the_language_has_abbreviations_questions_fragments_and_lower_case(truths: list[PhotoTruth]) -> None:
    texts = [text for photo in truths for text in photo.texts if "mixed" in text.file]
    joined = " ".join(text.text for text in texts)
    for needed in ("no. ", "approx. ", "U.S. ", "...", "e.g. ", "vs. ", "st. nicholas", "p.m. ", "?"):
        assert needed in joined, needed
    sentences = [text.text[begin:end] for text in texts for begin, end in text.sentences]
    lower = sum(sentence[0].islower() for sentence in sentences) / len(sentences)
    assert 0.4 < lower < 0.9
    assert len(set(sentences)) > 0.85 * len(sentences)
